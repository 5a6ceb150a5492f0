"""A walk through a statement's parse tree: every part is known and admitted, or refused."""

from collections.abc import Callable, Iterable
from typing import Any

from core.sqlguard import names
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
    PartitionCmd IntoClause IndexStmt ViewStmt CompositeTypeStmt CreateEnumStmt CreateRangeStmt
    AlterEnumStmt CreateDomainStmt AlterDomainStmt CreateSeqStmt AlterSeqStmt
    CreateFunctionStmt FunctionParameter CreateTrigStmt DropStmt CommentStmt RenameStmt
    ObjectWithArgs ReturnStmt TriggerTransition
    """.split()  # noqa: SIM905  read more easily
)
WRITES = frozenset({"InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"})
# Functions whose result can be many times their arguments, and the argument that says how many.
SIZED = {"repeat": 1, "lpad": 1, "rpad": 1, "array_fill": 1}
MOST_TIMES, MOST_NUMBERS = 1_000_000, 10_000_000


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
        self.writes = False

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
        """The relations named so far, without those that the statement makes itself."""
        return tuple(each for each in self._found if each.schema or each.name not in self._queries)

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
            kind = node.DESCRIPTOR.name
            if kind == "Node":
                which = node.WhichOneof("node")
                if which is None:
                    continue
                node = getattr(node, which)
                kind = node.DESCRIPTOR.name
            if kind in _LEAVES:
                continue
            count += kind != "List"
            if count > MAX_NODES:
                raise SqlTooLarge(
                    f"The statement has more than {MAX_NODES:,} parts",
                    position=self._start,
                    details=[{"statement": self._number}],
                )
            location = getattr(node, "location", location) or location
            if kind not in self._nodes:
                raise self.refuse(f"{_words(kind)} is not allowed here", location)
            visit = _VISITS.get(kind)
            if visit is not None:
                visit(self, node, location)
            for field, value in node.ListFields():
                if field.message_type is None:
                    continue
                if field.is_repeated:
                    stack.extend((each, location) for each in value)
                else:
                    stack.append((value, location))

    def relation(self, node: Any, location: int) -> None:
        if node.catalogname:
            raise self.refuse("A name of three parts is not allowed", location)
        self.schema(node.schemaname or None, location)
        if names.is_system(node.relname):
            raise self.refuse(f'The relation "{node.relname}" is the service\'s own', location)
        if node.relpersistence == "t":
            raise self.refuse("Temporary tables are not allowed", location)
        self._found.append(Relation(node.relname, node.schemaname or None, self.position(location)))

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
        self._sized(name, node.args, location)

    def _sized(self, name: str, arguments: Any, location: int) -> None:
        if name == "generate_series" and len(arguments) >= 2:
            bounds = [_number(argument) for argument in arguments[:3]]
            first, last = bounds[0], bounds[1]
            step = bounds[2] if len(bounds) > 2 else 1
            if first is None or last is None or not step:
                return
            if (last - first) / step > MOST_NUMBERS:
                raise self.refuse(
                    f"generate_series() of more than {MOST_NUMBERS:,} numbers", location
                )
        place = SIZED.get(name)
        if place is None or len(arguments) <= place:
            return
        times = _number(arguments[place])
        if times is not None and times > MOST_TIMES:
            raise self.refuse(f"{name}() to more than {MOST_TIMES:,}", location)
        first = arguments[0]
        if first.WhichOneof("node") == "func_call":
            inner = first.func_call.funcname[-1].string.sval
            if inner in SIZED:
                raise self.refuse(f"{inner}() inside of {name}() is not allowed", location)

    def type(self, node: Any, location: int) -> None:
        parts = [part.string.sval for part in node.names]
        if len(parts) > 2:
            raise self.refuse("A name of three parts is not allowed", location)
        if len(parts) == 2:
            self.schema(parts[0], location, names.CATALOG)
        if parts and not names.is_type_admitted(parts[-1]):
            raise self.refuse(f"The type {parts[-1]} is not allowed", location)

    def _operator(self, node: Any, location: int) -> None:
        if len(node.name) > 1:
            self.schema(node.name[0].string.sval, location, names.CATALOG)

    def _collation(self, node: Any, location: int) -> None:
        if len(node.collname) > 1:
            self.schema(node.collname[0].string.sval, location, names.CATALOG)

    def _select(self, node: Any, location: int) -> None:
        if node.HasField("into_clause"):
            raise self.refuse("SELECT INTO is not allowed; use CREATE TABLE AS", location)

    def _query(self, node: Any, _location: int) -> None:
        self._queries.add(node.ctename)

    def _written(self, _node: Any, _location: int) -> None:
        self.writes = True

    def _like(self, node: Any, location: int) -> None:
        self.relation(node.relation, location)

    def _index_element(self, node: Any, location: int) -> None:
        for parts in (node.collation, node.opclass):
            if len(parts) > 1:
                self.schema(parts[0].string.sval, location, names.CATALOG)

    def _constraint(self, node: Any, location: int) -> None:
        self.new_part(node.conname)
        if node.indexspace:
            raise self.refuse("Tablespaces are not allowed", location)


_LEAVES = frozenset(
    {"A_Const", "String", "Integer", "Float", "Boolean", "BitString", "A_Star", "ParamRef"}
)
_VISITS: dict[str, Callable[[Walk, Any, int], None]] = {
    "RangeVar": Walk.relation,
    "FuncCall": Walk._function,
    "TypeName": Walk.type,
    "A_Expr": Walk._operator,
    "CollateClause": Walk._collation,
    "SelectStmt": Walk._select,
    "CommonTableExpr": Walk._query,
    **dict.fromkeys(WRITES, Walk._written),
    "IndexElem": Walk._index_element,
    "Constraint": Walk._constraint,
}


def _number(node: Any) -> float | None:
    """The value of a constant number, with its sign; None: it is no constant."""
    which = node.WhichOneof("node")
    if which == "type_cast":
        return _number(node.type_cast.arg)
    if which == "a_expr" and not node.a_expr.HasField("lexpr"):
        inner = _number(node.a_expr.rexpr)
        sign = node.a_expr.name[0].string.sval
        return None if inner is None or sign not in "+-" else -inner if sign == "-" else inner
    if which != "a_const":
        return None
    value = node.a_const.WhichOneof("val")
    if value == "ival":
        return float(node.a_const.ival.ival)
    return float(node.a_const.fval.fval) if value == "fval" else None


def _words(kind: str) -> str:
    return kind.removesuffix("Stmt")
