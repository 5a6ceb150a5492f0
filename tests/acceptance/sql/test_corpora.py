"""Every attack comes to nothing and every legitimate statement works, against a real service.

Attacks are also made without the guard, on a server that nobody hardened: roles, grants and row
security hold alone.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from tests.acceptance.sql.corpus import Acting, Call, Case, attacks, by_file, legitimate
from tests.acceptance.sql.service import Mode, Service, World, service

MODES = [
    Mode(18, is_hardened=True, has_guard=True),
    Mode(16, is_hardened=False, has_guard=True),
    Mode(18, is_hardened=False, has_guard=False),
]
ATTACKS, LEGITIMATE = by_file(attacks()), by_file(legitimate())
Make = Callable[[Mode], Awaitable[Service]]


@pytest.fixture(scope="session")
async def in_mode() -> AsyncIterator[Make]:
    """Services by their mode, each started when it is first asked for."""
    started: dict[Mode, Service] = {}
    async with AsyncExitStack() as stack:

        async def make(mode: Mode) -> Service:
            if mode not in started:
                started[mode] = await service(stack, mode)
            return started[mode]

        yield make


def changes_the_world(case: Case) -> bool:
    return bool(case.setup or case.then) or case.call is not Call.DML or case.acting is Acting.OWNER


async def problems(
    made: Service, cases: list[Case], *, is_attack: bool, has_guard: bool
) -> list[str]:
    """What went wrong with which case; one that changes the world has one of its own."""
    found = []
    world: World | None = None
    for case in cases:
        if case.reason_to_skip(made.features):
            continue
        if world is None or changes_the_world(case) or not is_attack:
            world = await made.world()
        problem = await world.problem(case, is_attack=is_attack, has_guard=has_guard)
        if problem is not None:
            found.append(f"{case.file}: {case.name}: {problem[:600]}")
        if problem is not None or changes_the_world(case):
            world = None
    return found


@pytest.mark.parametrize("file", LEGITIMATE)
@pytest.mark.parametrize("mode", MODES[:2], ids=str)
async def test_legitimate_statements_work(in_mode: Make, mode: Mode, file: str) -> None:
    made = await in_mode(mode)
    found = await problems(made, LEGITIMATE[file], is_attack=False, has_guard=True)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("file", ATTACKS)
@pytest.mark.parametrize("mode", MODES, ids=str)
async def test_attacks_come_to_nothing(in_mode: Make, mode: Mode, file: str) -> None:
    made = await in_mode(mode)
    found = await problems(made, ATTACKS[file], is_attack=True, has_guard=mode.has_guard)
    assert not found, "\n".join(found)
