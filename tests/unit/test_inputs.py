"""Ids as callers send them: a JSON number or a string of digits, and nothing like either."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from memory.inputs import DatabaseId, OperationId

SPELLED = [
    1.0, 1e18, float("nan"), True, False, None, [1], {"id": 1}, b"1",
    "", " ", " 1", "1 ", "1\n", "\t1", "+1", "-1", "-0", "1.0", "1.", ".1", "1e3", "1E3", "0x1",
    "0b1", "0o1", "1_0", "1,000", "01", "00", "007", "１", "١", "१", "²", "①", "一", "1\u200b",  # noqa: RUF001
    "\ufeff1", "1\0", "NaN", "true", "null", '"1"', "9" * 20, "1" * 5000,
]  # fmt: skip
OUTSIDE = [
    (0, "greater than or equal to 1"),
    ("0", "greater than or equal to 1"),
    (-1, "greater than or equal to 1"),
    (2**63, "less than or equal to 9223372036854775807"),
    (str(2**63), "less than or equal to 9223372036854775807"),
    ("9" * 19, "less than or equal to 9223372036854775807"),
    (10**40, "less than or equal to 9223372036854775807"),
]
kinds = pytest.mark.parametrize("kind", [DatabaseId, OperationId], ids=["database", "operation"])


def message(kind: Any, value: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_python(value)
    (problem,) = caught.value.errors()
    return problem["msg"]


@kinds
@pytest.mark.parametrize("value", SPELLED, ids=lambda value: ascii(value)[:20])
def test_another_spelling_is_refused_with_the_ones_that_are_taken(kind: Any, value: Any) -> None:
    said = message(kind, value)
    assert (
        said == "Input should be an integer from 1 to 2^63 - 1, or a string of its decimal digits"
    )


@kinds
@pytest.mark.parametrize(("value", "part"), OUTSIDE)
def test_a_number_outside_is_refused_with_the_limit(kind: Any, value: Any, part: str) -> None:
    assert part in message(kind, value)


@kinds
@pytest.mark.parametrize("number", [1, 9, 10, 2**31, 2**53 + 1, 2**63 - 1])
def test_a_number_and_its_digits_are_the_same_id(kind: Any, number: int) -> None:
    adapter = TypeAdapter[int](kind)
    assert adapter.validate_python(number) == adapter.validate_python(str(number)) == number
