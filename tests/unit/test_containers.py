"""The Dockerfile and the compose file, held to rules; no Docker is needed."""

import json
import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from core.settings import Settings
from tests.containers import REPOSITORY, compose, dockerfile, parse_dockerfile
from tests.server import CONTAINER_IMAGE

VARIABLES = {Settings.variable(name) for name in Settings.model_fields}
# What `pgtwind init` and libpq read, and no service may.
OF_THE_ADMINISTRATOR = {"PGTWIN_ADMIN_URL", "PGPASSWORD"}
SERVICES = ["pgtwin", "workers"]
BUILD_TOOLS = ("pip ", "uv ", "apt-get", "gcc", "make", "curl", "wget")
COMPOSE = compose()
STAGES = dockerfile()
FINAL = STAGES[-1]


def project() -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    return found


def test_the_parser_reads_what_a_dockerfile_may_hold() -> None:
    text = (
        "# comment\nFROM a:1 AS b\nRUN one \\\n  # within\n  && two\n\n"
        'FROM c:2\nCOPY --from=b --chown=1:1 /x /y\nENV A=1 B="2 3"\nCMD ["d", "e"]\n'
    )
    build, final = parse_dockerfile(text)
    assert (build.image, build.name, final.image, final.name) == ("a:1", "b", "c:2", "")
    assert build.only("RUN").argument.split() == ["one", "&&", "two"]
    assert final.only("COPY").options == {"from": "b", "chown": "1:1"}
    assert final.variables == {"A": "1", "B": "2 3"}
    assert final.only("CMD").exec_form == ["d", "e"]
    assert parse_dockerfile("FROM a:1\nCMD serve x\n")[0].only("CMD").exec_form is None


def test_the_base_image_is_one_and_pinned_to_a_python_that_is_supported() -> None:
    [image] = {stage.image for stage in STAGES}
    found = re.fullmatch(r"python:3\.(\d+)-slim-[a-z]+", image)
    assert found
    assert int(found[1]) >= int(project()["requires-python"].removeprefix(">=3."))


def test_nothing_is_added_from_a_url() -> None:
    for stage in STAGES:
        assert stage.all("ADD") == []
        for copied in stage.all("COPY"):
            assert "://" not in copied.argument
            assert "." not in copied.argument.split()[:-1], "the whole context is copied"


def test_the_build_installs_the_lock_with_its_hashes() -> None:
    commands = [
        command.strip()
        for run in STAGES[0].all("RUN")
        for command in run.argument.split("&&")
        if " install " in command or " build " in command
    ]
    tool, dependencies, wheel, own = commands
    assert re.fullmatch(r"pip install --no-cache-dir uv==\d+\.\d+\.\d+", tool)
    assert "--require-hashes" in dependencies
    assert re.search(r"--constraints requirements\.lock$", dependencies)
    assert "--only-binary :all:" in dependencies
    assert "--require-hashes" in wheel
    assert "--build-constraints requirements.lock" in wheel
    assert "--no-deps" in own
    assert all("--compile-bytecode" in command for command in (dependencies, own))


def test_the_final_stage_takes_the_environment_and_no_tools() -> None:
    [copied] = FINAL.all("COPY")
    assert copied.options == {"from": STAGES[0].name}
    assert copied.argument.split() == ["/opt/pgtwin", "/opt/pgtwin"]
    ran = " ".join(run.argument for run in FINAL.all("RUN"))
    assert [tool for tool in BUILD_TOOLS if tool in ran] == []


def test_the_final_stage_runs_as_a_fixed_user_that_is_not_root() -> None:
    uid, gid = FINAL.only("USER").argument.split(":")
    assert int(uid) == int(gid) >= 10000
    assert f"--uid {uid} " in FINAL.only("RUN").argument
    names = [each.keyword for each in FINAL.instructions]
    assert names.index("RUN") < names.index("USER") < names.index("CMD")


def test_the_final_stage_starts_and_checks_itself_without_a_shell() -> None:
    assert FINAL.only("ENTRYPOINT").exec_form == ["pgtwind"]
    assert FINAL.only("CMD").exec_form == ["serve"]
    assert FINAL.only("STOPSIGNAL").argument == "SIGTERM"
    check = FINAL.only("HEALTHCHECK")
    assert {"interval", "timeout", "start-period", "retries"} <= set(check.options)
    assert check.argument == 'CMD ["pgtwind", "health"]'
    assert FINAL.only("EXPOSE").argument == FINAL.variables["PGTWIN_PORT"]
    assert FINAL.variables["PGTWIN_HOST"] == "0.0.0.0"  # noqa: S104


def test_every_variable_of_the_image_is_a_setting() -> None:
    assert {name for name in FINAL.variables if name.startswith("PGTWIN_")} <= VARIABLES


def test_labels_and_tag_are_the_projects() -> None:
    labels = FINAL.only("LABEL").pairs
    prefix = "org.opencontainers.image."
    assert all(name.startswith(prefix) for name in labels)
    assert labels[f"{prefix}version"] == project()["version"]
    assert labels[f"{prefix}licenses"] == project()["license"]
    assert labels[f"{prefix}description"] == project()["description"]
    assert {COMPOSE["services"][name]["image"] for name in (*SERVICES, "init")} == {
        f"pgtwin:{project()['version']}"
    }


def test_the_context_holds_what_is_copied_and_no_secret() -> None:
    lines = (REPOSITORY / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    allowed = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    copied = {
        source
        for stage in STAGES
        for each in stage.all("COPY")
        if "from" not in each.options
        for source in each.argument.split()[:-1]
    }
    assert allowed == copied
    assert [name for name in copied if not (REPOSITORY / name).exists()] == []
    refused = [rule.removeprefix("**/") for rule in rules if rule.startswith("**/")]
    for name in ("module.pyc", "__pycache__", ".env", ".env.local"):
        assert any(fnmatch(name, rule) for rule in refused), name


def test_the_compose_file_follows_its_specification() -> None:
    schema = json.loads(Path(__file__).with_name("compose-spec.json").read_text())
    validator = jsonschema_rs.Draft202012Validator(schema)
    assert [error.message for error in validator.iter_errors(COMPOSE)] == []
    assert not validator.is_valid({"services": {"db": {"imag": "x"}}})


def test_every_variable_of_the_compose_file_is_a_setting_or_postgresqls() -> None:
    text = (REPOSITORY / "docker-compose.yml").read_text()
    asked = set(re.findall(r"\$\{(\w+)", text))
    assert [name for name in asked if not name.startswith("POSTGRES_")]
    assert {name for name in asked if not name.startswith("POSTGRES_")} <= VARIABLES
    for name in SERVICES:
        assert set(COMPOSE["services"][name]["environment"]) <= VARIABLES
    assert set(COMPOSE["services"]["init"]["environment"]) - VARIABLES == OF_THE_ADMINISTRATOR


def test_secrets_have_no_default_and_must_be_given() -> None:
    text = (REPOSITORY / "docker-compose.yml").read_text()
    for name in ("POSTGRES_PASSWORD", "PGTWIN_MASTER_SECRET"):
        forms = set(re.findall(rf"\$\{{{name}([^}}]*)\}}", text))
        assert forms
        assert all(form.startswith(":?") and len(form) > 10 for form in forms), forms


@pytest.mark.parametrize("name", SERVICES)
def test_the_service_never_sees_the_superusers_password(name: str) -> None:
    service = COMPOSE["services"][name]
    assert not OF_THE_ADMINISTRATOR & set(service["environment"])
    assert "POSTGRES_PASSWORD" not in json.dumps(service)
    assert "env_file" not in service


@pytest.mark.parametrize("name", [*SERVICES, "init"])
def test_containers_of_ours_may_do_little(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert [mount.partition(":")[0] for mount in service["tmpfs"]] == ["/tmp"]  # noqa: S108
    assert "volumes" not in service


@pytest.mark.parametrize("name", SERVICES)
def test_the_service_waits_for_the_prepared_database_and_listens_on_loopback(name: str) -> None:
    service = COMPOSE["services"][name]
    conditions = {other: given["condition"] for other, given in service["depends_on"].items()}
    assert conditions == {"db": "service_healthy", "init": "service_completed_successfully"}
    [port] = service["ports"]
    assert port.startswith("127.0.0.1:")
    assert port.endswith(":" + FINAL.variables["PGTWIN_PORT"])
    assert service["environment"]["PGTWIN_DATABASE_HOST"] in COMPOSE["services"]
    assert int(service["stop_grace_period"].removesuffix("s")) > 40


def test_only_the_workers_need_a_profile() -> None:
    profiles = {name: each.get("profiles") for name, each in COMPOSE["services"].items()}
    assert {name: given for name, given in profiles.items() if given} == {"workers": ["workers"]}
    workers = COMPOSE["services"]["workers"]["environment"]["PGTWIN_WORKERS"]
    default = re.fullmatch(r"\$\{PGTWIN_WORKERS:-(\d+)\}", workers)
    assert default
    assert int(default[1]) > 1


def test_postgresql_keeps_its_data_and_is_not_published() -> None:
    database = COMPOSE["services"]["db"]
    assert database["image"] == CONTAINER_IMAGE
    # The images of PostgreSQL 18 and later keep a folder for each major below this one.
    assert database["volumes"] == ["data:/var/lib/postgresql"]
    assert "data" in COMPOSE["volumes"]
    assert "ports" not in database
    assert database["networks"] == ["database"]
    assert COMPOSE["networks"]["database"]["internal"] is True
    assert database["healthcheck"]["test"][:2] == ["CMD", "pg_isready"]
