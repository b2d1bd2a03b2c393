"""Names of columns: what a model was trained on and what it is given must be the same, in the same order."""

from collections.abc import Sequence


def column_fault(given: Sequence[str], wanted: Sequence[str]) -> str | None:
    """How the columns `given` differ from those `wanted`, in words that name them; None when they are equal.

    Examples
    --------
    >>> column_fault(["rsi", "atr"], ["rsi", "momentum"])
    'missing momentum; unknown atr'
    >>> column_fault(["rsi", "atr"], ["atr", "rsi"])
    'the order differs: rsi, atr instead of atr, rsi'
    """
    if list(given) == list(wanted):
        return None
    missing = [name for name in wanted if name not in given]
    unknown = [name for name in given if name not in wanted]
    twice = sorted({name for name in given if list(given).count(name) > 1})
    parts = [
        f"{word} {_few(names)}"
        for word, names in (("missing", missing), ("unknown", unknown), ("twice", twice))
        if names
    ]
    return "; ".join(parts) or f"the order differs: {_few(given)} instead of {_few(wanted)}"


def _few(names: Sequence[str]) -> str:
    """The first names, so that an error about 777 columns stays one line."""
    shown = ", ".join(name if name.isprintable() else repr(name) for name in names[:8])
    return f"{shown} and {len(names) - 8} more" if len(names) > 8 else shown
