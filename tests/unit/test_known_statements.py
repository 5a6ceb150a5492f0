from core.postgres.known_statements import CHARACTERS, KnownStatement, KnownStatements
from core.postgres.values import Column


def statement(name: str) -> KnownStatement:
    return KnownStatement((Column(name, 20, "bigint"),), (23, 25))


def test_the_least_recently_used_are_given_up() -> None:
    known = KnownStatements(limit=2)
    for name in "ab":
        known.put("login", name, statement(name))
    assert known.get("login", "a") == statement("a")
    known.put("login", "c", statement("c"))
    assert [known.get("login", name) for name in "abc"] == [statement("a"), None, statement("c")]
    assert len(known) == 2


def test_each_login_knows_its_own() -> None:
    known = KnownStatements()
    known.put("login", "a", statement("a"))
    assert known.get("other", "a") is None
    known.forget("other", "a")
    known.forget("login", "a")
    known.forget("login", "a")
    assert known.get("login", "a") is None


def test_what_is_long_is_not_kept() -> None:
    known = KnownStatements()
    known.put("login", "a" * (CHARACTERS + 1), statement("a"))
    assert len(known) == 0
    assert list(statement("a").types) == [23, 25, 20]
