"""Fields of a record: found by their dotted paths, and what numbers and words in them stand for."""

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

from schemas.errors import BadRecord
from streams.ingest.normal.forming import WORDS

Getter = Callable[[Any], Any]
_NUMBER = re.compile(r"[+-]?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})([eE][+-]?\d{1,3})?")
MISSING = object()


def steps_of(path: str) -> tuple[str, ...]:
    r"""The names on the way to a field; a dot in a name is written ``\.``.

    >>> steps_of(r"k.o"), steps_of(r"1\. open")
    (('k', 'o'), ('1. open',))
    """
    return tuple(part.replace("\\.", ".") for part in re.split(r"(?<!\\)\.", path))


def getter(path: str) -> Getter:
    """What finds the field in a record; in a list by its place, from 1.

    >>> getter("k.o")({"k": {"o": 1.5}}), getter("k.2")({"k": [1, 2]})
    (1.5, 2)
    """
    steps = steps_of(path)
    if len(steps) == 1:
        (name,) = steps
        return lambda row: row[name] if type(row) is dict and name in row else _required(row, steps, path)
    return lambda row: _required(row, steps, path)


def find(row: Any, steps: Sequence[str]) -> Any:
    """`MISSING` where there is none."""
    for step in steps:
        if isinstance(row, Mapping):
            row = row.get(step, MISSING)
        elif isinstance(row, list | tuple) and step.isdigit() and 0 < int(step) <= len(row):
            row = row[int(step) - 1]
        else:
            return MISSING
    return row


def _required(row: Any, steps: Sequence[str], path: str) -> Any:
    found = find(row, steps)
    if found is MISSING:
        has = f"it has {', '.join(map(str, list(row)[:20]))}" if isinstance(row, Mapping) else f"it is {shown(row)}"
        raise BadRecord("invalid", f"it has no field {path}; {has}")
    return found


def number(texts: bool, scale: float, scaled: str, undefined: float | None) -> Callable[[Any, str], float]:
    """What makes a float of a value, rounded once; the name is for the line that says what is wrong."""
    exact, step = Fraction(str(scale)), round(1 / scale)

    def times(value: float) -> float:
        if scale == 1.0 or scaled == "integers":
            return value
        return value / step if scale < 1 and 1 / scale == step else value * scale

    def of_exact(value: Fraction) -> float:
        product = value * exact
        try:
            return product.numerator / product.denominator
        except OverflowError:
            raise BadRecord("invalid", "a price or the volume is beyond what a float64 holds") from None

    def read(value: Any, name: str) -> float:
        kind = type(value)
        if kind is str:
            if not texts:
                raise BadRecord("invalid", f"{name} is the text {shown(value)}: declare texts: true in the source")
            if not _NUMBER.fullmatch(value.strip()):
                raise BadRecord("invalid", f"{name} is {shown(value)}, which is no number")
            result = float(value) if scale == 1.0 else of_exact(Fraction(value.strip()))
        elif kind is float:
            if value == undefined:
                raise BadRecord("invalid", f"{name} is {value}, which stands for no value")
            return times(value)
        elif kind is int or kind is Decimal:
            if kind is Decimal and not value.is_finite():
                raise BadRecord("invalid", f"{name} is {value}, which is no number")
            result = of_exact(Fraction(value)) if scale != 1.0 or abs(value) > 2**53 else float(value)
        else:
            raise BadRecord("invalid", f"{name} is {shown(value)}, which is no number")
        if undefined is not None and float(value) == undefined:
            raise BadRecord("invalid", f"{name} is {value}, which stands for no value")
        return result

    return read


def truth(value: Any, name: str) -> bool:
    """Of a field that says whether a bar is closed."""
    if type(value) is bool:
        return value
    known = WORDS.get(str(value).strip().lower())
    if known is None:
        raise BadRecord("invalid", f"{name} is {shown(value)}, which is neither true nor false")
    return known


def shown(value: Any) -> str:
    return repr(value)[:80]
