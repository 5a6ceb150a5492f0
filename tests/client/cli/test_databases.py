"""`pgtwin databases` and `pgtwin operations`, in all forms of output."""

from datetime import UTC, datetime, timedelta

from core.settings import Settings
from tests.client.cli.conftest import Pgtwin
from tests.conftest import running
from tests.exports import on_a_socket


async def test_a_database_from_its_making_to_its_end(pgtwin: Pgtwin) -> None:
    made = await pgtwin(
        "databases", "create", "shop", "--ttl", "1h30m", "--description", "tea", "-o", "json"
    )
    assert made.code == 0, made.err
    number = made.json["database_id_str"]
    assert made.json["database_id"] == int(number)
    ends = datetime.fromisoformat(made.json["expires_at"]) - datetime.now(UTC)
    assert timedelta(minutes=89) < ends < timedelta(minutes=91)
    for which in ("shop", number):
        shown = await pgtwin("databases", "get", which)
        assert [line.split() for line in shown.out.splitlines()][:2] == [
            ["database_id", number],
            ["name", "shop"],
        ]
    described = await pgtwin("databases", "describe", "shop", "-o", "json")
    assert [each["env"] for each in described.json["schemas"]] == ["prod", "test"]
    assert "SIZE_BYTES" in (await pgtwin("databases", "describe", "shop")).out
    never = await pgtwin("databases", "set-expiration", "shop", "--never", "-o", "json")
    assert never.json["expires_at"] is None
    later = await pgtwin(
        "databases", "set-expiration", "shop", "--at", "2033-01-31T18:00+00:00", "-o", "json"
    )
    assert later.json["expires_at"].startswith("2033-01-31T18:00")
    labels = await pgtwin("databases", "label", "shop", "a=1", "b=", "-o", "json")
    assert labels.json["labels"] == {"a": "1", "b": ""}
    assert (await pgtwin("databases", "label", "shop", "a=1", "a=2")).code == 2
    assert (await pgtwin("databases", "protect", "shop")).code == 0
    refused = await pgtwin("databases", "drop", "shop", "--yes")
    assert (refused.code, "protected" in refused.err) == (1, True)
    assert (await pgtwin("databases", "protect", "shop", "--off")).code == 0
    gone = await pgtwin("databases", "drop", "shop", "--yes", "--purge", "-o", "json")
    assert gone.json["restorable_until"] is None
    assert (await pgtwin("databases", "get", "shop")).code == 5


async def test_lists(pgtwin: Pgtwin, shop: int) -> None:
    await pgtwin("databases", "create", "other", "-l", "team=b")
    found = await pgtwin("databases", "list", "-o", "json")
    assert [each["name"] for each in found.json] == ["other", "shop"]
    lines = await pgtwin("databases", "list", "-o", "ndjson")
    assert [each["name"] for each in lines.lines] == ["other", "shop"]
    table = (await pgtwin("databases", "list")).out.splitlines()
    assert table[0].split()[:3] == ["DATABASE_ID", "NAME", "STATUS"]
    assert table[2].split()[:4] == [str(shop), "shop", "ready", "team=a"]
    for options in (["-l", "team=a"], ["--prefix", "sh"], ["-l", "team", "--prefix", "shop"]):
        some = await pgtwin("databases", "list", *options, "-o", "json")
        assert [each["name"] for each in some.json] == ["shop"]
    assert (await pgtwin("databases", "list", "-l", "none=x", "-o", "json")).json == []
    by_variable = await pgtwin("databases", "list", PGTWIN_OUTPUT="ndjson")
    assert len(by_variable.lines) == 2


async def test_clones_and_operations(pgtwin: Pgtwin, shop: int) -> None:
    await pgtwin("sql", "shop", "INSERT INTO item VALUES (1, 'tea')")
    made = await pgtwin("databases", "clone", "shop", "copy", "--ttl", "10m", "-o", "json")
    assert made.code == 0, made.err
    names = await pgtwin("sql", "copy", "SELECT name FROM item", "-o", "json")
    assert names.json == [{"name": "tea"}]
    operations = await pgtwin("operations", "list", "-o", "json")
    [operation] = operations.json
    assert operation["operation_id"] == made.json["operation_id"]
    watched = await pgtwin("operations", "watch", operation["operation_id_str"], "-o", "json")
    assert (watched.code, watched.json["state"]) == (0, "finished")
    assert (await pgtwin("operations", "list", "--state", "failed", "-o", "json")).json == []
    assert (await pgtwin("operations", "watch", "123456789012345")).code == 5
    bare = await pgtwin("databases", "clone", "shop", "bare", "--no-data", "--env", "prod")
    assert bare.code == 0
    none = await pgtwin("sql", "bare", "SELECT * FROM item", "-o", "json")
    assert none.json == []


async def test_dropping_by_labels(pgtwin: Pgtwin, shop: int) -> None:
    for number in range(3):
        await pgtwin("databases", "create", f"ci{number}", "-l", "ci=yes", "--ttl", "1h")
    unsaid = await pgtwin("databases", "drop", "--label", "ci=yes")
    assert (unsaid.code, "--yes" in unsaid.err) == (2, True)
    gone = await pgtwin("databases", "drop", "--label", "ci=yes", "--yes", "-o", "json")
    assert len(gone.json) == 3
    left = await pgtwin("databases", "list", "-o", "json")
    assert [each["database_id"] for each in left.json] == [shop]
    assert (await pgtwin("databases", "drop")).code == 2
    assert (await pgtwin("databases", "drop", "shop", "-l", "a=b", "--yes")).code == 2
    assert (await pgtwin("databases", "drop", "-l", "ci", "--yes")).code == 2


async def test_a_drop_can_be_undone(pgtwin: Pgtwin, settings: Settings) -> None:
    kept = settings.model_copy(update={"drop_retention": 3600.0})
    async with running(kept) as app, on_a_socket(app) as url:
        made = await pgtwin("databases", "create", "shop", "-o", "json", PGTWIN_URL=url)
        number = made.json["database_id_str"]
        await pgtwin("sql", "shop", "CREATE TABLE item (n int)", PGTWIN_URL=url)
        gone = await pgtwin("databases", "drop", "shop", "--yes", "-o", "json", PGTWIN_URL=url)
        assert gone.json["restorable_until"] is not None
        assert (await pgtwin("databases", "list", "-o", "json", PGTWIN_URL=url)).json == []
        listed = await pgtwin("databases", "list", "--dropped", "-o", "json", PGTWIN_URL=url)
        assert [each["status"] for each in listed.json] == ["dropped"]
        by_name = await pgtwin("databases", "restore", "shop", PGTWIN_URL=url)
        assert (by_name.code, "--dropped" in by_name.err) == (2, True)
        await pgtwin("databases", "create", "shop", PGTWIN_URL=url)
        taken = await pgtwin("databases", "restore", number, PGTWIN_URL=url)
        assert (taken.code, "name_taken" in taken.err) == (1, True)
        back = await pgtwin("databases", "restore", number, "--new-name", "old", PGTWIN_URL=url)
        assert back.code == 0, back.err
        rows = await pgtwin("sql", "old", "SELECT * FROM item", "-o", "json", PGTWIN_URL=url)
        assert rows.json == []
        for name in ("old", "shop"):
            await pgtwin("databases", "drop", name, "--yes", "--purge", PGTWIN_URL=url)
