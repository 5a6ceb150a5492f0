"""pytest plugin: a database for each test, as a copy of a template where there is one.

    def test_orders(pgtwin_database):
        engine = sqlalchemy.create_engine(pgtwin_database.sqlalchemy_url())

It comes with `pip install 'pgtwin[pytest]'`; nothing is started, asked or imported for tests that
use none of its fixtures.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pgtwin.testing.databases import Database
    from pgtwin.testing.templates import Template

__all__ = ["Database", "Template"]
_PLACES = {"Database": "databases", "Template": "templates"}


def __getattr__(name: str) -> Any:
    # pytest imports this package in every run, of projects that don't use it too.
    if name in _PLACES:
        return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
