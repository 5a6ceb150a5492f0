"""A walk through a statement's parse tree: every part is known and admitted, or refused."""

import re
from collections.abc import Callable, Iterable
from typing import Any

from postgast.pg_query_pb2 import Node

from core.sqlguard import constants, names
from core.sqlguard.errors import SqlRefused, SqlTooLarge
from core.sqlguard.limits import MAX_NODES
from core.sqlguard.statements import Relation

# The kinds of nodes that queries and expressions are made of; all others are refused.
EXPRESSIONS = frozenset(
    """
    SelectStmt InsertStmt UpdateStmt DeleteStmt MergeStmt MergeWhenClause ReturningClause
    ReturningOption WithClause CommonTableExpr CTESearchClause CTECycleClause RangeVar Alias
    RangeSubselect RangeFunction RangeTableSample RangeTableFunc RangeTableFuncCol JoinExpr
    ResTarget ColumnRef A_Star A_Const Integer Float Boolean String BitString A_Expr
    A_Indirection A_Indices A_ArrayExpr ParamRef FuncCall NamedArgExpr TypeCast TypeName
    CollateClause SortBy WindowDef SubLink BoolExpr NullTest BooleanTest CaseExpr CaseWhen
    CoalesceExpr MinMaxExpr RowExpr MultiAssignRef SetToDefault SQLValueFunction XmlExpr
    XmlSerialize GroupingSet GroupingFunc LockingClause OnConflictClause InferClause IndexElem
    List ColumnDef JsonObjectConstructor JsonArrayConstructor JsonArrayQueryConstructor
    JsonObjectAgg JsonArrayAgg JsonAggConstructor JsonKeyValue JsonValueExpr JsonFormat
    JsonReturning JsonOutput JsonIsPredicate JsonParseExpr JsonScalarExpr JsonSerializeExpr
    JsonFuncExpr JsonBehavior JsonTable JsonTableColumn JsonTablePathSpec JsonArgument
    MergeSupportFunc
    """.split()  # noqa: SIM905  read more easily
)
DEFINITIONS = EXPRESSIONS | frozenset(
    """
    CreateStmt CreateTableAsStmt AlterTableStmt AlterTableCmd Constraint DefElem
    TableLikeClause PartitionSpec PartitionElem PartitionBoundSpec PartitionRangeDatum
    PartitionCmd ATAlterConstraint IntoClause IndexStmt ViewStmt CompositeTypeStmt CreateEnumStmt
    CreateRangeStmt AlterEnumStmt CreateDomainStmt AlterDomainStmt CreateSeqStmt AlterSeqStmt
    CreateFunctionStmt FunctionParameter CreateTrigStmt DropStmt CommentStmt RenameStmt
    ObjectWithArgs ReturnStmt TriggerTransition
    """.split()  # noqa: SIM905  read more easily
)
# Statements that are never a part of another one.
_WHOLE = {kind for kind in DEFINITIONS - EXPRESSIONS if kind.endswith("Stmt")} - {"ReturnStmt"}
WRITES = frozenset({"InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"})
# Functions whose result can be many times their arguments, and the argument that says how many.
SIZED = {"repeat": 1, "lpad": 1, "rpad": 1, "array_fill": 1}
_OF_CONSTANTS = frozenset({"format", "generate_series"})
MOST_TIMES, MOST_NUMBERS = 1_000_000, 10_000_000
# PostgreSQL makes room for as many as the highest number says.
MOST_PARAMETERS = 65_535
# Their argument is a regclass, whether a cast says so or not.
_OF_SEQUENCES = frozenset({"currval", "nextval", "setval"})
_WIDTH = re.compile(r"%(?:\d+\$)?-?(\d+)")


class Walk:
    """One statement's walk.

    Args:
        place: gives the position, in characters from 1, of a byte of the text.
        start: the position of the statement, for parts that have none of their own.
    """

    def __init__(
        self,
        own_schema: str | None,
        place: Callable[[int], int],
        start: int,
        number: int,
        nodes: frozenset[str],
        *,
        is_owner: bool,
    ) -> None:
        self._own = own_schema
        self._place = place
        self._start = start
        self._number = number
        self._nodes = nodes
        self.is_owner = is_owner
        self._found: list[Relation] = []
        self._queries: set[str] = set()
        self._sequences_at: set[int] = set()
        self.writes = False
        # Whether it calls what may write, be that a function of the database's own.
        self.may_write = False
        self.locks = False
        self.weighs_constants = False

    def refuse(self, message: str, location: int = -1) -> SqlRefused:
        return SqlRefused(
            message,
            position=self.position(location),
            details=[{"statement": self._number}],
        )

    def position(self, location: int) -> int:
        return self._place(location) if location > 0 else self._start

    @property
    def relations(self) -> tuple[Relation, ...]:
        """The relations named so far, each once, without those that the statement makes itself."""
        found = dict.fromkeys(self._found)
        return tuple(each for each in found if each.schema or each.name not in self._queries)

    def through(self, message: Any) -> None:
        """Go through a part with all that is in it.

        Not by recursion: a chain of operators is as deep as it is long.

        Raises:
            SqlRefused, SqlTooLarge
        """
        stack: list[tuple[Any, int]] = [(message, -1)]
        count = 0
        while stack:
            node, location = stack.pop()
            if type(node) is Node:
                which = node.WhichOneof("node")
                if which is None:
                    continue
                node = getattr(node, which)
            part = _PARTS[type(node)]
            if part.is_leaf:
                continue
            kind = part.kind
            count += part.is_counted
            if count > MAX_NODES:
                raise SqlTooLarge(
                    f"The statement has more than {MAX_NODES:,} parts",
                    position=self._start,
                    details=[{"statement": self._number}],
                )
            if part.has_location:
                location = node.location or location
            if kind not in self._nodes or (count > 1 and part.is_whole):
                raise self.refuse(f"{_words(kind)} is not allowed here", location)
            if part.visit is not None:
                part.visit(self, node, location)
            for field, value in node.ListFields():
                holds = _HOLDS[field]
                if holds == _ONE:
                    stack.append((value, location))
                elif holds == _NODES:
                    # Most are constants and parts of names.
                    for each in value:
                        which = each.WhichOneof("node")
                        if which is not None and which not in _LEAF_NODES:
                            stack.append((getattr(each, which), location))
                elif holds == _MANY:
                    stack.extend((each, location) for each in value)

    def relation(self, node: Any, location: int) -> None:
        if node.catalogname:
            raise self.refuse("A name of three parts is not allowed", location)
        self.schema(node.schemaname or None, location)
        if names.is_system(node.relname):
            raise self.refuse(f'The relation "{node.relname}" is the service\'s own', location)
        if node.relpersistence == "t":
            raise self.refuse("Temporary tables are not allowed", location)
        self._found.append(Relation(node.relname, node.schemaname or None))

    def schema(self, name: str | None, location: int, *also: str) -> None:
        """Refuse a name that is qualified with another schema."""
        if name is not None and name not in (self._own, names.EXTENSIONS, *also):
            raise self.refuse(f'The schema "{name}" is not this database\'s', location)

    def qualified(self, parts: Iterable[Any], location: int) -> str:
        """Check the name of an object, given as a list of its parts; gives its last part."""
        words = [part.string.sval for part in parts if part.WhichOneof("node") == "string"]
        if len(words) > 2:
            raise self.refuse("A name of three parts is not allowed", location)
        if len(words) == 2:
            self.schema(words[0], location)
        name = words[-1] if words else ""
        if names.is_system(name):
            raise self.refuse(f'The name "{name}" is the service\'s own', location)
        return name

    def new_name(self, name: str) -> None:
        """Refuse names of ours for what is made."""
        if names.is_system(name):
            raise self.refuse(f'The name "{name}" is the service\'s own')

    def new_part(self, name: str) -> None:
        """Refuse names of ours for parts of a table, where PostgreSQL has no names of its own."""
        if name.startswith(names.RESERVED):
            raise self.refuse(f'The name "{name}" is the service\'s own')

    def _function(self, node: Any, location: int) -> None:
        parts = [part.string.sval for part in node.funcname]
        if len(parts) > 2:
            raise self.refuse("A name of three parts is not allowed", location)
        schema, name = (parts[0] if len(parts) == 2 else None), parts[-1]
        self.schema(schema, location, names.CATALOG)
        is_catalogs = schema in (None, names.CATALOG)
        if is_catalogs and not names.is_function_admitted(name, schema):
            raise self.refuse(f"The function {name}() is not allowed", location)
        is_of_sequences = is_catalogs and name in _OF_SEQUENCES
        if is_of_sequences and node.args:
            self.weighs_constants = True
            self._sequences_at |= _regclass_of_constant(node.args[0])
        self.may_write |= is_of_sequences or not is_catalogs or not names.is_catalog_function(name)
        self._sized(name, node.args, location)

    def _column(self, node: Any, location: int) -> None:
        """PostgreSQL takes `f.name` for `name(f)`, where f is what a function gives."""
        if len(node.fields) > 1:
            self._attributes(node.fields[1:], location)

    def _indirection(self, node: Any, location: int) -> None:
        self._attributes(node.indirection, location)

    def _attributes(self, parts: Iterable[Any], location: int) -> None:
        """Refuse what is a call of a function, or a cast, in the form of an attribute."""
        for part in parts:
            name = part.string.sval if part.WhichOneof("node") == "string" else ""
            is_call = names.is_catalog_function(name)
            if is_call and not names.is_function_admitted(name, names.CATALOG):
                raise self.refuse(f"The function {name}() is not allowed", location)
            if name.startswith("reg") and not names.is_type_admitted(name):
                raise self.refuse(f"The type {name} is not allowed", location)

    def _sized(self, name: str, arguments: Any, location: int) -> None:
        self.weighs_constants |= name in SIZED or name in _OF_CONSTANTS
        if name == "generate_series" and len(arguments) >= 2:
            bounds = [constants.number(argument) for argument in arguments[:3]]
            first, last = bounds[0], bounds[1]
            step = bounds[2] if len(bounds) > 2 else 1
            if first is None or last is None or not step:
                return
            if (last - first) / step > MOST_NUMBERS:
                raise self.refuse(
                    f"generate_series() of more than {MOST_NUMBERS:,} numbers", location
                )
        if name == "format" and arguments:
            widths = [float(width) for width in _WIDTH.findall(constants.text(arguments[0]) or "")]
            if max(widths, default=0) > MOST_TIMES:
                raise self.refuse(f"{name}() to more than {MOST_TIMES:,}", location)
        place = SIZED.get(name)
        if place is None or len(arguments) <= place:
            return
        times = constants.number(arguments[place])
        if times is not None and times > MOST_TIMES:
            raise self.refuse(f"{name}() to more than {MOST_TIMES:,}", location)
        for inner in constants.functions(arguments[0]):
            if inner in SIZED:
                raise self.refuse(f"{inner}() inside of {name}() is not allowed", location)

    def type(self, node: Any, location: int) -> None:
        parts = [part.string.sval for part in node.names]
        if node.pct_type:
            self._type_of_column(parts, location)
            return
        if len(parts) > 2:
            raise self.refuse("A name of three parts is not allowed", location)
        if len(parts) == 2:
            self.schema(parts[0], location, names.CATALOG)
        if parts[-1:] == ["regclass"] and location in self._sequences_at:
            return
        if parts and not names.is_type_admitted(parts[-1]):
            raise self.refuse(f"The type {parts[-1]} is not allowed", location)

    def _type_of_column(self, parts: list[str], location: int) -> None:
        if len(parts) > 3:
            raise self.refuse("A name of that many parts is not allowed", location)
        if len(parts) == 3:
            self.schema(parts[0], location)
        if len(parts) > 1 and names.is_system(parts[-2]):
            raise self.refuse(f'The relation "{parts[-2]}" is the service\'s own', location)

    def _catalogs(self, parts: Any, location: int) -> None:
        """The name of what the catalog has itself, too: an operator, a collation."""
        if len(parts) > 2:
            raise self.refuse("A name of three parts is not allowed", location)
        if len(parts) == 2:
            self.schema(parts[0].string.sval, location, names.CATALOG)

    def _operator(self, node: Any, location: int) -> None:
        self._catalogs(node.name, location)

    def _compared(self, node: Any, location: int) -> None:
        self._catalogs(node.oper_name, location)

    def _sorted(self, node: Any, location: int) -> None:
        self._catalogs(node.use_op, location)

    def _collation(self, node: Any, location: int) -> None:
        self._catalogs(node.collname, location)

    def _sampled(self, node: Any, location: int) -> None:
        self._catalogs(node.method, location)

    def _parameter(self, node: Any, location: int) -> None:
        if node.number > MOST_PARAMETERS:
            raise self.refuse(f"There are at most {MOST_PARAMETERS:,} parameters", location)

    def _option(self, node: Any, location: int) -> None:
        if node.defname == "sequence_name":
            self.qualified(node.arg.list.items, location)

    def _select(self, node: Any, _location: int) -> None:
        if node.HasField("into_clause"):
            location = node.into_clause.rel.location
            raise self.refuse("SELECT INTO is not allowed; use CREATE TABLE AS", location)
        self.locks |= len(node.locking_clause) > 0

    def _query(self, node: Any, _location: int) -> None:
        self._queries.add(node.ctename)

    def _written(self, _node: Any, _location: int) -> None:
        self.writes = True

    def _index_element(self, node: Any, location: int) -> None:
        self._catalogs(node.collation, location)
        self._catalogs(node.opclass, location)

    def _constraint(self, node: Any, location: int) -> None:
        self.new_part(node.conname)
        if node.indexspace:
            raise self.refuse("Tablespaces are not allowed", location)
        for exclusion in node.exclusions:
            self._catalogs(exclusion.list.items[1].list.items, location)


_LEAVES = frozenset({"A_Const", "String", "Integer", "Float", "Boolean", "BitString", "A_Star"})
_LEAF_NODES = frozenset(
    field.name for field in Node.DESCRIPTOR.fields if field.message_type.name in _LEAVES
)
_UNCOUNTED = frozenset({"List", "ParamRef", "TypeCast", "TypeName"})
_VISITS: dict[str, Callable[[Walk, Any, int], None]] = {
    "RangeVar": Walk.relation,
    "FuncCall": Walk._function,
    "ColumnRef": Walk._column,
    "A_Indirection": Walk._indirection,
    "TypeName": Walk.type,
    "A_Expr": Walk._operator,
    "SubLink": Walk._compared,
    "SortBy": Walk._sorted,
    "RangeTableSample": Walk._sampled,
    "ParamRef": Walk._parameter,
    "DefElem": Walk._option,
    "CollateClause": Walk._collation,
    "SelectStmt": Walk._select,
    "CommonTableExpr": Walk._query,
    **dict.fromkeys(WRITES, Walk._written),
    "IndexElem": Walk._index_element,
    "PartitionElem": Walk._index_element,
    "Constraint": Walk._constraint,
}


class _Part:
    """What is to be known of a kind of node; to ask its descriptor each time takes longer than all
    the rest of the walk."""

    __slots__ = ("has_location", "is_counted", "is_leaf", "is_whole", "kind", "visit")

    def __init__(self, descriptor: Any) -> None:
        self.kind: str = descriptor.name
        self.is_leaf = self.kind in _LEAVES
        self.is_counted = self.kind not in _UNCOUNTED
        self.is_whole = self.kind in _WHOLE
        self.has_location = "location" in descriptor.fields_by_name
        self.visit = _VISITS.get(self.kind)


class _Parts(dict[type, _Part]):
    def __missing__(self, message: Any) -> _Part:
        part = self[message] = _Part(message.DESCRIPTOR)
        return part


# What a field of a node has.
_NOTHING, _ONE, _MANY, _NODES = range(4)


class _Fields(dict[Any, int]):
    def __missing__(self, field: Any) -> int:
        if field.message_type is None:
            holds = _NOTHING
        elif not field.is_repeated:
            holds = _ONE
        else:
            is_nodes = field.message_type.name == Node.DESCRIPTOR.name
            holds = _NODES if is_nodes else _MANY
        self[field] = holds
        return holds


_PARTS, _HOLDS = _Parts(), _Fields()


def _regclass_of_constant(node: Any) -> set[int]:
    """Where the type of 'name'::regclass stands, if it is one."""
    if node.WhichOneof("node") != "type_cast" or constants.text(node.type_cast.arg) is None:
        return set()
    return {node.type_cast.type_name.location}


def _words(kind: str) -> str:
    return kind.removesuffix("Stmt")
