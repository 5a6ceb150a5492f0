"""`pgtwin sql`, psql, connection strings, and files."""

import asyncio
import os
import pty
import shutil
import time
from pathlib import Path

import asyncpg
import pytest

from tests.client.cli.conftest import PGTWIN, Pgtwin, environment
from tests.client.conftest import Door


async def test_statements(pgtwin: Pgtwin, shop: int) -> None:
    done = await pgtwin("sql", "shop", "INSERT INTO item VALUES ($1, $2)", "-p", "1", "-p", "tea")
    assert (done.code, done.out) == (0, "INSERT 1\n")
    table = await pgtwin("sql", str(shop), "SELECT * FROM item")
    assert table.out.splitlines() == ["ID  NAME", "1   tea", "(1 row)"]
    lines = await pgtwin("sql", "shop", "-", "-o", "ndjson", given="SELECT 1 AS a; SELECT 2 AS b;")
    assert lines.lines == [{"a": 1}, {"b": 2}]
    test = await pgtwin(
        "sql", "shop", "SELECT count(*) AS n FROM item", "--env", "test", "-o", "json"
    )
    assert test.json == [{"n": 0}]
    refused = await pgtwin("sql", "shop", "DELETE FROM item", "--read-only")
    assert refused.code == 1
    assert (await pgtwin("sql", "shop", "SELECT 1", "--env", "none")).code == 2
    assert (await pgtwin("sql", "shop", "SELECT $1; SELECT 2", "-p", "1")).code == 1
    assert (await pgtwin("sql", "shop", "DROP TABLE item", "-p", "1")).code == 2


async def test_errors_show_where(pgtwin: Pgtwin, shop: int) -> None:
    failed = await pgtwin("sql", "shop", "SELECT name,\n  nothing FROM item")
    assert failed.code == 1
    assert failed.err.splitlines()[1:3] == [
        "line 2:   nothing FROM item",
        "          ^",
    ]


async def test_errors_show_the_place_in_the_whole_file(
    pgtwin: Pgtwin, shop: int, tmp_path: Path
) -> None:
    lines = ["-- a comment", "", "CREATE TABLE t (n int);", "", "SELECT 1;", "/* b */", ""]
    lines += ["SELECT '漢字', nothing;"]
    (tmp_path / "all.sql").write_text("\n".join(lines))
    failed = await pgtwin("sql", "shop", "-f", "all.sql")
    assert failed.err.splitlines()[2:4] == [
        "line 8: SELECT '漢字', nothing;",
        "                       ^",
    ]
    many = "SELECT 1;\n" * 40 + "\tSELECT\tnothing"
    failed = await pgtwin("sql", "shop", "-", given=many)
    assert failed.err.splitlines()[2:4] == ["line 41:  SELECT nothing", "                 ^"]
    long = await pgtwin("sql", "shop", f"SELECT '{'x' * 5000}', nothing, '{'y' * 5000}'")
    shown, caret = long.err.splitlines()[1:3]
    assert len(shown) < 250
    assert shown[caret.index("^") :].startswith("nothing, ")


async def test_no_text_obeys_the_terminal(pgtwin: Pgtwin, shop: int) -> None:
    failed = await pgtwin("sql", "shop", r"SELECT E'\x1b[31mred'::int")
    assert failed.code == 1
    assert r'"\x1b[31mred"' in failed.err
    assert "\x1b" not in failed.err


async def test_what_is_no_text_is_told(pgtwin: Pgtwin, shop: int, tmp_path: Path) -> None:
    (tmp_path / "bad.sql").write_bytes(b"SELECT 1;\nSELECT '\xff'")
    told = (1, "error: bad.sql is no text in UTF-8: see line 2\n")
    for arguments in (["sql", "shop", "-f", "bad.sql"], ["run", "--sql", "bad.sql", "--", "true"]):
        done = await pgtwin(*arguments)
        assert (done.code, done.err) == told
    piped = await pgtwin("sql", "shop", "-", given=b"SELECT '\xff'")
    assert (piped.code, "standard input is no text" in piped.err) == (1, True)
    odd = os.fsdecode(b"sh\xffop")
    for arguments in (["sql", "shop", f"SELECT '{odd}'"], ["databases", "get", odd]):
        done = await pgtwin(*arguments)
        assert (done.code, "no UTF-8" in done.err) == (2, True)
    (tmp_path / odd).write_text("SELECT 1 AS a")
    assert (await pgtwin("sql", "shop", "-f", odd, "-o", "json")).json == [{"a": 1}]


async def test_output_of_any_encoding(pgtwin: Pgtwin, shop: int) -> None:
    query = ["sql", "shop", "SELECT 'ä漢😀' AS y"]
    found = await pgtwin(*query, "-o", "json", PYTHONIOENCODING="ascii")
    assert found.json == [{"y": "ä漢😀"}]
    table = await pgtwin(*query, PYTHONIOENCODING="ascii:strict")
    assert table.code == 0


async def test_files_as_windows_writes_them(pgtwin: Pgtwin, shop: int, tmp_path: Path) -> None:
    file = tmp_path / "all.sql"
    file.write_bytes(
        b"\xef\xbb\xbf-- made elsewhere; with a semicolon\r\n"
        b"CREATE TABLE t (body text);\r\n"
        b"CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT 1; $$;\r\n"
        b"INSERT INTO t VALUES ('a;\r\nb'), (E'it\\'s; so');\r\n"
        b"/* a /* nested; */ comment; */ SELECT length(body) AS n FROM t ORDER BY 1;\r\n"
    )
    done = await pgtwin("sql", "shop", "-f", str(file), "-o", "ndjson")
    assert done.code == 0, done.err
    assert done.lines == [{"n": 4}, {"n": 8}]
    missing = await pgtwin("sql", "shop", "-f", "nowhere.sql")
    assert (missing.code, missing.err) == (1, "error: No such file or directory: nowhere.sql\n")
    half = tmp_path / "half.sql"
    half.write_text("CREATE TABLE u (n int); INSERT INTO u VALUES ('x')")
    failed = await pgtwin("sql", "shop", "-f", str(half))
    assert (failed.code, "1 of 2 transactions are done" in failed.err) == (1, True)


async def at_a_terminal(
    door: Door, home: Path, typed: list[str | bytes], *arguments: str, columns: int = 100
) -> tuple[int, str]:
    """What a person sees who types these lines, each when it is waited for."""
    near, far = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        PGTWIN,
        *arguments,
        env=environment(door, home, TERM="xterm", COLUMNS=str(columns)),
        stdin=far,
        stdout=far,
        stderr=far,
        start_new_session=True,
    )
    os.close(far)
    os.set_blocking(near, False)
    seen, waiting = b"", list(typed)
    deadline = time.monotonic() + 60
    marks = 0
    while time.monotonic() < deadline:
        try:
            part = os.read(near, 65536)
            if not part:
                break
            seen += part
        except BlockingIOError:
            await asyncio.sleep(0.02)
        except OSError:
            break
        if waiting and (seen.count(b"> ") > marks or b"[y/N]" in seen):
            marks = seen.count(b"> ")
            line = waiting.pop(0)
            os.write(near, line.encode() if isinstance(line, str) else line)
    code = await asyncio.wait_for(process.wait(), 10)
    os.close(near)
    return code, seen.decode(errors="replace")


async def test_a_prompt(door: Door, pgtwin: Pgtwin, shop: int, tmp_path: Path) -> None:
    typed: list[str | bytes] = [
        b"SELECT '\xff';\n",
        "INSERT INTO item VALUES\n",
        "(1, 'te;a');\n",
        "SELECT name FROM item;\n",
        "SELECT nothing FROM item;\n",
        "\\d\n",
        "\\d item\n",
        "\\env test\n",
        "SELECT count(*) AS n FROM ite\t;\n",
        "\\x\n",
        "\\q\n",
    ]
    code, seen = await at_a_terminal(door, tmp_path, typed, "sql", "shop")
    assert code == 0, seen
    for part in ("no UTF-8", "INSERT 1", "te;a", "prod-> ", "test=> ", "is no command"):
        assert part in seen
    assert "does not exist" in seen
    history = (tmp_path / "state" / "pgtwin" / "history").read_text(errors="replace")
    assert "SELECT name FROM item;" in history
    assert "\x1b[" in seen


async def test_tables_on_terminals(door: Door, pgtwin: Pgtwin, shop: int, tmp_path: Path) -> None:
    query = ["sql", "shop", "SELECT " + ", ".join(f"'value {n}' AS c{n}" for n in range(12))]
    _, wide = await at_a_terminal(door, tmp_path, [], *query, columns=300)
    assert "─" in wide
    assert "value 7" in wide
    _, narrow = await at_a_terminal(door, tmp_path, [], *query, columns=80)
    assert "value 7" in narrow


async def test_people_are_asked_before_a_drop(
    door: Door, pgtwin: Pgtwin, shop: int, tmp_path: Path
) -> None:
    code, seen = await at_a_terminal(door, tmp_path, ["n\n"], "databases", "drop", "shop")
    assert (code, "nothing was done" in seen) == (1, True)
    code, seen = await at_a_terminal(door, tmp_path, ["y\n"], "databases", "drop", "shop")
    assert code == 0, seen


async def test_psql_has_a_connection_that_ends_with_it(pgtwin: Pgtwin, shop: int) -> None:
    if shutil.which("psql") is None:
        missing = await pgtwin("psql", "shop")
        assert (missing.code, "psql is not installed" in missing.err) == (1, True)
        pytest.skip("there is no psql")
    done = await pgtwin("psql", "shop", "--env", "test", "--", "-Atc", "SELECT count(*) FROM item")
    assert (done.code, done.out) == (0, "0\n")
    failed = await pgtwin("psql", "shop", "--", "-c", "SELECT 1 FROM nowhere")
    assert failed.code == 1
    read_only = await pgtwin("psql", "shop", "--read-only", "--", "-c", "DELETE FROM item")
    assert "permission denied" in read_only.err or "read-only" in read_only.err


async def test_connection_strings(pgtwin: Pgtwin, shop: int) -> None:
    made = await pgtwin("connection-string", "shop", "--env", "test", "--ttl", "5m")
    assert made.code == 0, made.err
    connection = await asyncpg.connect(made.out.strip())
    await connection.execute("INSERT INTO item VALUES (1, 'x')")
    await connection.close()
    wrong = await pgtwin("connection-string", "shop", "--ttl", "soon")
    assert (wrong.code, "no time" in wrong.err) == (2, True)


async def test_files_in_and_out(pgtwin: Pgtwin, shop: int, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("id,name\n1,tea\n2,oil\n")
    done = await pgtwin("upload", "shop", "item", "in.csv")
    assert (done.code, done.out) == (0, "succeeded  2\nfailed     0\n")
    again = await pgtwin("upload", "shop", "item", "in.csv", "--skip", "-o", "json")
    assert (again.code, again.json["failed"], again.json["failed_rows"][0]["line"]) == (1, 2, 2)
    (tmp_path / "new.json").write_text('[{"id": 1, "name": "green tea"}]')
    changed = await pgtwin("upload", "shop", "item", "new.json", "--mode", "update", "--key", "id")
    assert changed.code == 0
    assert (await pgtwin("upload", "shop", "item", "none.csv")).code == 1
    out = await pgtwin("export", "shop", "item")
    assert sorted(out.out.splitlines()) == ["1,green tea", "2,oil", "id,name"]
    to = await pgtwin("export", "shop", "--sql", "SELECT 1 AS a", "--to", "a.ndjson")
    assert (to.code, (tmp_path / "a.ndjson").read_text()) == (0, '{"a":1}\n')
    assert (await pgtwin("export", "shop")).code == 2
    assert (await pgtwin("export", "shop", "item", "--format", "doc")).code == 2


async def test_exports_to_what_is_no_file(pgtwin: Pgtwin, shop: int, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = await asyncio.create_subprocess_exec(
        "cat", tmp_path / "pipe", stdout=asyncio.subprocess.PIPE
    )
    done = await pgtwin("export", "shop", "item", "--to", "pipe")
    is_left = (tmp_path / "pipe").is_fifo()
    if not is_left:
        reader.kill()
    out, _ = await reader.communicate()
    assert (done.code, out, is_left) == (0, b"id,name\r\n", True), done.err
    (tmp_path / "folder").mkdir()
    folder = await pgtwin("export", "shop", "item", "--to", "folder")
    assert (folder.code, folder.err.endswith("folder\n")) == (1, True)
    (tmp_path / "link.csv").symlink_to("true.csv")
    assert (await pgtwin("export", "shop", "item", "--to", "link.csv")).code == 0
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "true.csv").read_text() == "id,name\n"


async def test_schemas(pgtwin: Pgtwin, shop: int) -> None:
    assert "table item" in (await pgtwin("schema", "shop")).out
    found = await pgtwin("schema", "shop", "-o", "json")
    assert [table["name"] for table in found.json["tables"]] == ["item"]
    assert "CREATE TABLE item" in (await pgtwin("schema", "shop", "--ddl")).out
    each = await pgtwin("schema", "shop", "-o", "ndjson")
    assert [table["name"] for table in each.lines] == ["item"]
