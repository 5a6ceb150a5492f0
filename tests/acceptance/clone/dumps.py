"""A schema's definition as pg_dump writes it, cut into its entries and freed of its names."""

import asyncio
import re
from collections import defaultdict

from core.postgres.embedded import bundled_binaries
from tests.acceptance.clone.twins import Half

_ENTRY = re.compile(
    r"(?m)^--\n-- (?P<title>Name: .*; Type: (?P<kind>.*); Schema: .*; Owner: .*)\n--\n"
)
# What pg_dump says to psql, to the session, or about itself.
_NOISE = re.compile(r"(?m)^(\\(un)?restrict .*|SET \w+ = .*;|-- PostgreSQL database dump.*|--)\n")

# A policy's roles come in the order of a hash join.
_ROLES = re.compile(r"(?<= TO )[^ ,]+(?:, [^ ,]+)+(?= |;)")


async def dump(half: Half) -> str:
    """The definition as the environment's owner gets it from the newest pg_dump."""
    pattern = '"' + half.schema.name.replace('"', '""') + '"'
    process = await asyncio.create_subprocess_exec(
        bundled_binaries(18).pg_dump,
        f"--dbname={half.ddl_url}",
        f"--role={half.owner.name}",
        f"--schema={pattern}",
        "--schema-only",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


def entries(text: str, half: Half, quoting: Half | None = None) -> dict[str, str]:
    """The dump's entries under their titles, with the half's names hidden.

    Their order is left out, for it follows OIDs where nothing else decides.

    Args:
        quoting: a half that comments and the labels of enums may still name: they are data.
    """
    found: dict[str, list[str]] = defaultdict(list)
    parts = list(_ENTRY.finditer(text))
    ends = [part.start() for part in parts[1:]] + [len(text)]
    for part, end in zip(parts, ends, strict=True):
        body = _NOISE.sub("", text[part.end() : end] + "\n").strip()
        if part["kind"].endswith("ACL"):
            body = "\n".join(sorted(body.splitlines()))
        body = half.hide_names(body)
        if part["kind"] == "POLICY":
            body = _ROLES.sub(lambda found: ", ".join(sorted(found[0].split(", "))), body)
        is_text = part["kind"] == "COMMENT" or " AS ENUM (" in body
        if quoting is not None and is_text:
            body = quoting.hide_names(body)
        found[half.hide_names(part["title"])].append(body)
    return {f"pg_dump: {title}": "\n".join(sorted(bodies)) for title, bodies in found.items()}
