"""What a part of an expression is where it is made of constants."""

import math
import operator
from collections.abc import Callable, Iterator
from typing import Any

# Deeper expressions are no sizes that somebody wrote, and would take all of Python's stack.
MOST_DEPTH = 50


def functions(node: Any) -> Iterator[str]:
    """The names of functions in an expression."""
    stack = [node]
    while stack:
        message = stack.pop()
        if message.DESCRIPTOR.name == "FuncCall":
            yield message.funcname[-1].string.sval
        for field, value in message.ListFields():
            if field.message_type is not None:
                stack.extend(value if field.is_repeated else [value])


def text(node: Any) -> str | None:
    """The value of a constant text."""
    while node.WhichOneof("node") == "type_cast":
        node = node.type_cast.arg
    is_text = node.WhichOneof("node") == "a_const" and node.a_const.WhichOneof("val") == "sval"
    return str(node.a_const.sval.sval) if is_text else None


def number(node: Any, depth: int = 0) -> float | None:
    """The value of a number that is made of constants; None: it is not."""
    if depth > MOST_DEPTH:
        return None
    match node.WhichOneof("node"):
        case "type_cast":
            return number(node.type_cast.arg, depth + 1)
        case "a_array_expr":
            numbers = [number(each, depth + 1) for each in node.a_array_expr.elements]
            return math.prod(each for each in numbers if each is not None)
        case "a_expr":
            return _computed(node.a_expr, depth)
        case "a_const":
            return _constant(node.a_const)
    return None


def _constant(node: Any) -> float | None:
    match node.WhichOneof("val"):
        case "ival":
            return float(node.ival.ival)
        case "fval":
            return _read(node.fval.fval)
        case "sval":
            return _read(node.sval.sval)
    return None


def _read(digits: str) -> float | None:
    try:
        is_decimal = digits.strip()[:2].lower() not in ("0x", "0o", "0b")
        return float(digits) if is_decimal else float(int(digits, 0))
    except (ArithmeticError, ValueError):
        return None


def _computed(node: Any, depth: int) -> float | None:
    sign, right = node.name[-1].string.sval, number(node.rexpr, depth + 1)
    left = number(node.lexpr, depth + 1) if node.HasField("lexpr") else 0.0
    if left is None or right is None or sign not in _ARITHMETIC:
        return None
    try:
        return _ARITHMETIC[sign](left, right)
    except (ArithmeticError, ValueError):
        return None


_ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "^": math.pow,
    "<<": lambda left, right: left * 2.0**right,
}
