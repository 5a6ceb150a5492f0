"""The plugin's options on the command line and in the ini file."""

import pytest

KEEP = ("failed", "all", "none")


def add(parser: pytest.Parser) -> None:
    group = parser.getgroup("pgtwin", "databases of pgtwin")
    group.addoption(
        "--pgtwin-url",
        metavar="URL",
        help="The service that databases are made on, with the key of PGTWIN_KEY; default: "
        "PGTWIN_URL, or a service that is started for the run.",
    )
    group.addoption(
        "--pgtwin-keep",
        choices=KEEP,
        default="failed",
        help="Which tests' databases stay after the run; default: failed.",
    )
    group.addoption(
        "--pgtwin-rebuild",
        action="store_true",
        help="Make the template anew, although what it is made of has not changed.",
    )
    group.addoption(
        "--pgtwin-folder",
        metavar="PATH",
        help="Where a service that is started for the run keeps its databases; default: "
        "pgtwin-tests in the user's caches.",
    )
    parser.addini(
        "pgtwin_template_files",
        "Files, folders and patterns that the template is made of: migrations or models.",
        type="args",
    )
    parser.addini("pgtwin_env", "The environment that tests use: prod or test.", default="prod")
    parser.addini("pgtwin_ttl", "Seconds that a test's database lives at most.", default="3600")
    parser.addini(
        "pgtwin_keep_ttl", "Seconds that a failed test's database is kept.", default="86400"
    )
    parser.addini(
        "pgtwin_connection_limit",
        "Sessions that a database's URL may have at a time; default: the service's.",
        default="",
    )
