"""What each kind of statement may be, beyond the parts that it is made of."""

from collections.abc import Callable
from typing import Any

from postgast import pg_query_pb2 as pg

from core.sqlguard import names
from core.sqlguard.statements import Kind
from core.sqlguard.tree import Walk

# The column by which rows are scoped.
SCOPE = "uid"
Check = Callable[[Walk, Any], None]

DML = {
    "select_stmt": Kind.SELECT,
    "insert_stmt": Kind.INSERT,
    "update_stmt": Kind.UPDATE,
    "delete_stmt": Kind.DELETE,
    "merge_stmt": Kind.MERGE,
}
_TABLES = {
    pg.OBJECT_TABLE: Kind.DROP_TABLE,
}
_OWNERS_OBJECTS = {
    pg.OBJECT_INDEX: Kind.DROP_INDEX,
    pg.OBJECT_VIEW: Kind.DROP_VIEW,
    pg.OBJECT_TYPE: Kind.DROP_TYPE,
    pg.OBJECT_DOMAIN: Kind.DROP_DOMAIN,
    pg.OBJECT_SEQUENCE: Kind.DROP_SEQUENCE,
    pg.OBJECT_FUNCTION: Kind.DROP_FUNCTION,
    pg.OBJECT_TRIGGER: Kind.DROP_TRIGGER,
}
_RENAMED = frozenset({pg.OBJECT_TABLE, pg.OBJECT_COLUMN, pg.OBJECT_TABCONSTRAINT})
_OWNER_RENAMES = frozenset(
    {
        pg.OBJECT_INDEX,
        pg.OBJECT_VIEW,
        pg.OBJECT_SEQUENCE,
        pg.OBJECT_TYPE,
        pg.OBJECT_ATTRIBUTE,
        pg.OBJECT_DOMAIN,
        pg.OBJECT_FUNCTION,
        pg.OBJECT_TRIGGER,
    }
)
_COMMENTED = frozenset({pg.OBJECT_TABLE, pg.OBJECT_COLUMN, pg.OBJECT_TABCONSTRAINT})
_OWNER_COMMENTS = frozenset(_OWNERS_OBJECTS)
_OWNER_ALTERS = {
    pg.OBJECT_INDEX: Kind.CREATE_INDEX,
    pg.OBJECT_VIEW: Kind.CREATE_VIEW,
    pg.OBJECT_SEQUENCE: Kind.ALTER_SEQUENCE,
    pg.OBJECT_TYPE: Kind.ALTER_TYPE,
}
_ALTERATIONS = frozenset(
    getattr(pg, f"AT_{name}")
    for name in [
        "AddColumn",
        "ColumnDefault",
        "DropNotNull",
        "SetNotNull",
        "SetExpression",
        "DropExpression",
        "SetStatistics",
        "SetOptions",
        "ResetOptions",
        "SetStorage",
        "SetCompression",
        "DropColumn",
        "AddConstraint",
        "AlterConstraint",
        "ValidateConstraint",
        "DropConstraint",
        "AlterColumnType",
        "SetRelOptions",
        "ResetRelOptions",
        "AddInherit",
        "DropInherit",
        "AddOf",
        "DropOf",
        "AttachPartition",
        "DetachPartition",
        "AddIdentity",
        "SetIdentity",
        "DropIdentity",
    ]
)
_STORAGE = ("fillfactor", "autovacuum_", "toast_tuple_target", "parallel_workers", "vacuum_")
_VIEW_OPTIONS = frozenset({"security_invoker", "security_barrier", "check_option"})
_INDEX_OPTIONS = (
    "fillfactor",
    "deduplicate_items",
    "fastupdate",
    "gin_pending_list_limit",
    "pages_per_range",
    "autosummarize",
    "buffering",
    "lists",
    "m",
    "ef_construction",
)
_SEQUENCE_OPTIONS = frozenset(
    """
    as increment start minvalue maxvalue cache cycle owned_by restart sequence_name
    """.split()  # noqa: SIM905  read more easily
)
_METHODS = frozenset(
    """
    btree hash gin gist spgist brin hnsw ivfflat
    """.split()  # noqa: SIM905  read more easily
)
_FUNCTION_OPTIONS = frozenset(
    """
    as language volatility strict cost rows parallel security leakproof window
    """.split()  # noqa: SIM905  read more easily
)
_LANGUAGES = ("sql", "plpgsql")


def kind_of(statement: Any, *, is_owner: bool) -> Kind | None:
    """The kind of a DDL statement; None: one that is not admitted."""
    which = statement.WhichOneof("node")
    node = getattr(statement, which)
    found = _KIND_OF.get(which)
    kind = found(node, is_owner) if callable(found) else found
    if kind is None and is_owner:
        owners = _OWNERS_KIND_OF.get(which)
        kind = owners(node) if callable(owners) else owners
    return kind


def check(walk: Walk, statement: Any) -> None:
    """What the walk does not look at.

    Raises:
        SqlRefused
    """
    which = statement.WhichOneof("node")
    found = _CHECKS.get(which)
    if found is not None:
        found(walk, getattr(statement, which))


def _table_as(node: Any, _is_owner: bool) -> Kind | None:
    is_query = node.query.WhichOneof("node") == "select_stmt"
    return Kind.CREATE_TABLE_AS if node.objtype == pg.OBJECT_TABLE and is_query else None


def _alter(node: Any, is_owner: bool) -> Kind | None:
    if node.objtype == pg.OBJECT_TABLE:
        return Kind.ALTER_TABLE
    return _OWNER_ALTERS.get(node.objtype) if is_owner else None


def _drop(node: Any, is_owner: bool) -> Kind | None:
    return _TABLES.get(node.remove_type) or (
        _OWNERS_OBJECTS.get(node.remove_type) if is_owner else None
    )


def _rename(node: Any, is_owner: bool) -> Kind | None:
    allowed = _RENAMED | _OWNER_RENAMES if is_owner else _RENAMED
    return Kind.RENAME if node.rename_type in allowed else None


def _comment(node: Any, is_owner: bool) -> Kind | None:
    allowed = _COMMENTED | _OWNER_COMMENTS if is_owner else _COMMENTED
    return Kind.COMMENT if node.objtype in allowed else None


_KIND_OF: dict[str, Kind | Callable[[Any, bool], Kind | None]] = {
    "create_stmt": Kind.CREATE_TABLE,
    "create_table_as_stmt": _table_as,
    "alter_table_stmt": _alter,
    "drop_stmt": _drop,
    "rename_stmt": _rename,
    "comment_stmt": _comment,
}
_OWNERS_KIND_OF: dict[str, Kind | Callable[[Any], Kind | None]] = {
    "index_stmt": Kind.CREATE_INDEX,
    "view_stmt": Kind.CREATE_VIEW,
    "composite_type_stmt": Kind.CREATE_TYPE,
    "create_enum_stmt": Kind.CREATE_TYPE,
    "create_range_stmt": Kind.CREATE_TYPE,
    "alter_enum_stmt": Kind.ALTER_TYPE,
    "create_domain_stmt": Kind.CREATE_DOMAIN,
    "alter_domain_stmt": Kind.ALTER_DOMAIN,
    "create_seq_stmt": Kind.CREATE_SEQUENCE,
    "alter_seq_stmt": Kind.ALTER_SEQUENCE,
    "create_function_stmt": lambda node: None if node.is_procedure else Kind.CREATE_FUNCTION,
    "create_trig_stmt": Kind.CREATE_TRIGGER,
}


def _create(walk: Walk, node: Any) -> None:
    walk.new_name(node.relation.relname)
    if node.tablespacename:
        raise walk.refuse("Tablespaces are not allowed")
    if node.access_method not in ("", "heap"):
        raise walk.refuse(f"The access method {node.access_method} is not allowed")
    if node.HasField("of_typename"):
        walk.type(node.of_typename, node.of_typename.location)
    _options(walk, node.options, _STORAGE)


def _create_as(walk: Walk, node: Any) -> None:
    walk.new_name(node.into.rel.relname)
    if node.into.table_space_name:
        raise walk.refuse("Tablespaces are not allowed")
    if node.into.access_method not in ("", "heap"):
        raise walk.refuse(f"The access method {node.into.access_method} is not allowed")
    _options(walk, node.into.options, _STORAGE)


def _alter_table(walk: Walk, node: Any) -> None:
    for each in node.cmds:
        command = each.alter_table_cmd
        if command.subtype in (pg.AT_DropColumn, pg.AT_AlterColumnType):
            _keep_scope(walk, command.name)
        if command.subtype not in _ALTERATIONS:
            name = pg.AlterTableType.Name(command.subtype).removeprefix("AT_")
            raise walk.refuse(f"ALTER TABLE ... {_spaced(name)} is not allowed")
        definition = getattr(command, "def")
        which = definition.WhichOneof("node")
        if which == "partition_cmd" and definition.partition_cmd.concurrent:
            raise walk.refuse("CONCURRENTLY can't run in a transaction")
        relation_options = (pg.AT_SetRelOptions, pg.AT_ResetRelOptions)
        if command.subtype in relation_options:
            _options(walk, definition.list.items, (*_STORAGE, *_INDEX_OPTIONS, *_VIEW_OPTIONS))
            is_reset = command.subtype == pg.AT_ResetRelOptions
            _keep_invoker(walk, definition.list.items, is_reset=is_reset)
        walk.new_part(command.name)


def _keep_scope(walk: Walk, column: str) -> None:
    """What says whose a row is stays, but for an owner who says that he acts as one."""
    if column == SCOPE and not walk.is_owner:
        raise walk.refuse(f'The column "{SCOPE}" says whose a row is; change it as: owner')


def _drop_objects(walk: Walk, node: Any) -> None:
    if node.concurrent:
        raise walk.refuse("CONCURRENTLY can't run in a transaction")
    for each in node.objects:
        if node.remove_type == pg.OBJECT_TRIGGER:
            _part(walk, each.list.items)
        else:
            _object(walk, each)


def _rename_object(walk: Walk, node: Any) -> None:
    if node.rename_type == pg.OBJECT_COLUMN:
        _keep_scope(walk, node.subname)
    is_part = node.rename_type in (pg.OBJECT_COLUMN, pg.OBJECT_TABCONSTRAINT, pg.OBJECT_TRIGGER)
    (walk.new_part if is_part else walk.new_name)(node.newname)
    walk.new_part(node.subname)
    if node.HasField("object"):
        _object(walk, node.object)


def _comment_object(walk: Walk, node: Any) -> None:
    if node.objtype in (pg.OBJECT_COLUMN, pg.OBJECT_TABCONSTRAINT, pg.OBJECT_TRIGGER):
        _part(walk, node.object.list.items)
    else:
        _object(walk, node.object)


def _object(walk: Walk, node: Any) -> None:
    """The name of an object, as it stands in DROP, RENAME and COMMENT."""
    match node.WhichOneof("node"):
        case "list":
            _part(walk, node.list.items) if len(node.list.items) > 2 else walk.qualified(
                node.list.items, -1
            )
        case "object_with_args":
            walk.qualified(node.object_with_args.objname, -1)
        case "type_name":
            walk.type(node.type_name, node.type_name.location)


def _part(walk: Walk, items: Any) -> None:
    """The name of a table's part: the part's own name comes last."""
    words = [item.string.sval for item in items if item.WhichOneof("node") == "string"]
    if len(words) > 3:
        raise walk.refuse("A name of that many parts is not allowed")
    if len(words) == 3:
        walk.schema(words[0], -1)
    if len(words) > 1 and names.is_system(words[-2]):
        raise walk.refuse(f'The relation "{words[-2]}" is the service\'s own')
    walk.new_part(words[-1])


def _index(walk: Walk, node: Any) -> None:
    walk.new_name(node.idxname)
    if node.concurrent:
        raise walk.refuse("CONCURRENTLY can't run in a transaction")
    if node.table_space:
        raise walk.refuse("Tablespaces are not allowed")
    if node.access_method not in _METHODS:
        raise walk.refuse(f"The access method {node.access_method} is not allowed")
    _options(walk, node.options, _INDEX_OPTIONS)


def _view(walk: Walk, node: Any) -> None:
    walk.new_name(node.view.relname)
    for option in node.options:
        if option.def_elem.defname not in _VIEW_OPTIONS:
            raise walk.refuse(f"The option {option.def_elem.defname} is not allowed")
    _keep_invoker(walk, node.options, is_reset=False)


def _keep_invoker(walk: Walk, options: Any, *, is_reset: bool) -> None:
    for option in options:
        element = option.def_elem
        if element.defname == "security_invoker" and (is_reset or not _is_true(element)):
            raise walk.refuse(
                "Views show what whoever asks may see: security_invoker stays", element.location
            )


def _is_true(element: Any) -> bool:
    """Whether an option is on; PostgreSQL takes many words for what is off."""
    match element.arg.WhichOneof("node"):
        case None:
            return True
        case "integer":
            return bool(element.arg.integer.ival == 1)
        case "string":
            word = element.arg.string.sval
        case "type_name":
            word = element.arg.type_name.names[-1].string.sval
        case _:
            return False
    return str(word).lower() in ("true", "on", "yes", "t", "y", "1")


def _new_type(walk: Walk, node: Any) -> None:
    walk.new_name(walk.qualified(node.type_name, -1))


def _range(walk: Walk, node: Any) -> None:
    _new_type(walk, node)
    for each in node.params:
        if each.def_elem.defname not in ("subtype", "multirange_type_name", "collation"):
            raise walk.refuse(f"The option {each.def_elem.defname} is not allowed")


def _composite(walk: Walk, node: Any) -> None:
    walk.new_name(node.typevar.relname)


def _domain(walk: Walk, node: Any) -> None:
    walk.new_name(walk.qualified(node.domainname, -1))


def _sequence(walk: Walk, node: Any) -> None:
    walk.new_name(node.sequence.relname)
    for each in node.options:
        element = each.def_elem
        if element.defname not in _SEQUENCE_OPTIONS:
            raise walk.refuse(f"The option {element.defname} is not allowed", element.location)
        if element.defname == "owned_by":
            _part(walk, element.arg.list.items)


def _function(walk: Walk, node: Any) -> None:
    walk.new_name(walk.qualified(node.funcname, -1))
    for each in node.options:
        element = each.def_elem
        name, value = element.defname, element.arg
        if name not in _FUNCTION_OPTIONS:
            raise walk.refuse(f"The option {name} is not allowed", element.location)
        if name == "language" and value.string.sval.lower() not in _LANGUAGES:
            raise walk.refuse(
                f"The language {value.string.sval} is not allowed; use sql or plpgsql",
                element.location,
            )
        if name in ("security", "leakproof", "window") and value.boolean.boolval:
            option = "SECURITY DEFINER" if name == "security" else name.upper()
            raise walk.refuse(f"{option} is not allowed", element.location)


def _trigger(walk: Walk, node: Any) -> None:
    walk.new_part(node.trigname)
    name = walk.qualified(node.funcname, -1)
    if names.is_catalog_function(name) and not names.is_function_admitted(name, names.CATALOG):
        raise walk.refuse(f"The function {name}() is not allowed")


def _options(walk: Walk, options: Any, allowed: tuple[str, ...]) -> None:
    for each in options:
        name = each.def_elem.defname
        if not any(
            name == known or (known[-1] == "_" and name.startswith(known)) for known in allowed
        ):
            raise walk.refuse(f"The option {name} is not allowed", each.def_elem.location)


def _spaced(name: str) -> str:
    return "".join(f" {letter}" if letter.isupper() else letter for letter in name).strip().upper()


_CHECKS: dict[str, Check] = {
    "create_stmt": _create,
    "create_table_as_stmt": _create_as,
    "alter_table_stmt": _alter_table,
    "drop_stmt": _drop_objects,
    "rename_stmt": _rename_object,
    "comment_stmt": _comment_object,
    "index_stmt": _index,
    "view_stmt": _view,
    "composite_type_stmt": _composite,
    "create_enum_stmt": _new_type,
    "create_range_stmt": _range,
    "alter_enum_stmt": _new_type,
    "create_domain_stmt": _domain,
    "alter_domain_stmt": _new_type,
    "create_seq_stmt": _sequence,
    "alter_seq_stmt": _sequence,
    "create_function_stmt": _function,
    "create_trig_stmt": _trigger,
}
