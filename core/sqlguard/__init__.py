from core.sqlguard.errors import (
    DdlNotAllowed,
    DmlNotAllowed,
    SqlRefused,
    SqlTooLarge,
    SqlUnreadable,
)
from core.sqlguard.guard import admit, overriding_user_value
from core.sqlguard.limits import skeleton
from core.sqlguard.statements import Kind, Relation, Ruleset, Statement

__all__ = [
    "DdlNotAllowed",
    "DmlNotAllowed",
    "Kind",
    "Relation",
    "Ruleset",
    "SqlRefused",
    "SqlTooLarge",
    "SqlUnreadable",
    "Statement",
    "admit",
    "overriding_user_value",
    "skeleton",
]
