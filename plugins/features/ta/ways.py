"""Which way each of TA-Lib's functions goes: over a window of bars, as a recursion, or not at all and why."""

from dataclasses import dataclass, field
from typing import Any

from plugins.features.ta.folds.recursion import RecursiveFunction
from plugins.features.ta.folds.recursions import RECURSIONS
from plugins.features.ta.functions import AVERAGES, Function, functions
from plugins.features.ta.window import WindowFunction
from plugins.fold import FoldFeature

FINITE = (0, 2, 5, 9)
"""Averages of a finite window: SMA, WMA, TRIMA, HMA."""

LEFT_OUT = {
    "ACOS": "defined from -1 to 1, where no price is",
    "ASIN": "defined from -1 to 1, where no price is",
    "MAVP": "needs a column of periods beside the bars",
    "MAXINDEX": "its value is the number of a row of the frame, which a live bar has not; see ta.AROON",
    "MININDEX": "its value is the number of a row of the frame, which a live bar has not; see ta.AROON",
    "RVI": "depends on every bar by deviations whose running sums the library begins anew by a rule of its own",
    "MINMAXINDEX": "its value is the number of a row of the frame, which a live bar has not; see ta.AROON",
}
"""Functions that there are not, each with the reason."""

EXACT = """
    ADD AROON AROONOSC ATAN AVGDEV AVGPRICE BOP CEIL COS COSH DIV DONCHIAN EXP FLOOR FRACTAL IMI LN LOG10 MARKETFI MAX
    MEDPRICE MIDPOINT MIDPRICE MIN MINMAX MOM MULT PERCENTILE PERCENTRANK ROC ROCP ROCR ROCR100 RVOL SIN SINH SQRT SUB
    TAN TANH TRANGE TYPPRICE VHF WCLPRICE WILLR
"""
"""Functions of a finite window whose bits do not depend on where the frame begins; and all candle patterns."""

ROUNDED = """
    AC ACCBANDS ADR AO BBANDS BETA CCI CMF CMOU COPPOCK CORREL DPO ER FOSC HMA LINEARREG LINEARREG_ANGLE
    LINEARREG_INTERCEPT LINEARREG_SLOPE MA MACDEXT MFI QSTICK SMA STDDEV STOCH STOCHF SUM TRIMA TSF ULTOSC VAR VORTEX
    VWMA WMA
"""
"""Functions of a finite window where the library carries a running sum through the frame, and its rounding with it."""


@dataclass(frozen=True)
class Way:
    """How a function runs: `kind` is exact, window or recursion."""

    kind: str
    averages: tuple[int, ...] = ()
    members: dict[str, Any] = field(default_factory=dict)

    def plugin(self, function: Function, module: str) -> type[FoldFeature]:
        """The feature's class, as a module would define it."""
        base = RecursiveFunction if self.kind == "recursion" else WindowFunction
        members = {
            "__module__": module,
            "__doc__": _docstring(function, self),
            "function": function,
            "Params": function.model(self.averages),
            "outputs": function.columns,
            **self.members,
        }
        return type(function.name, (base,), members)


NAMES = {"exact": "window, same bits", "window": "window", "recursion": "recursion, same bits"}
NOTES = {
    "exact": "Depends on its last bars alone: the library itself, over those, with the bits of the whole frame.",
    "window": "Depends on its last bars alone: the library itself, over those. Over a whole frame the library carries"
    " a running sum along, whose rounding depends on where the frame begins; here it does not.",
    "recursion": "Depends on every bar since the first: the library's recursion as a fold, with its bits.",
}


def _docstring(function: Function, way: Way) -> str:
    told = "\n".join(f"    {each.name}\n        {_told(each, way)}" for each in function.parameters)
    parameters = f"\n    Parameters\n    ----------\n{told}\n" if told else ""
    return f"""{function.title}: TA-Lib's {function.name}.
{parameters}
    Notes
    -----
    {NOTES[way.kind]}
    NaN before its first value, and where it is not finite. Where the library says 0 for a quotient of zeros, so does
    this.

    References
    ----------
    https://ta-lib.org
    """


def _told(parameter: Any, way: Way) -> str:
    if parameter.kind == "column":
        return f"The input: open, high, low, close or volume; {parameter.default} unless told."
    if parameter.kind == "average":
        return "The average, by its number: " + ", ".join(f"{each} {AVERAGES[each]}" for each in way.averages) + "."
    return f"{parameter.kind}, {parameter.least:g} to {parameter.most:g}; {parameter.default} unless told."


def _way(name: str) -> Way:
    if name in RECURSIONS:
        return Way("recursion", RECURSIONS[name].averages, {"recursion": RECURSIONS[name]})
    if name in EXACT.split() or name.startswith("CDL"):
        return Way("exact")
    if name in ROUNDED.split():
        return Way("window", FINITE, {"exact": False})
    raise KeyError(name)


WAYS = {name: _way(name) for name in functions() if name not in LEFT_OUT}
"""Of every function that there is."""
