"""What `compute` returns: a frame of numbers, a row for each bar, the same columns always, its input untouched."""

import numpy as np
import pandas as pd

from plugins.checks.bars import EARLY, ONE_WITHOUT_VOLUME, edges, usual, walk
from plugins.checks.features.subject import FeatureSubject
from plugins.checks.findings.compare import difference, names, numbers
from plugins.checks.findings.outcome import Failed, Inapplicable


def computes(subject: FeatureSubject) -> str:
    """`compute` was called on real daily bars."""
    return f"columns {names(subject.raw(_few_bars(subject)))}"


def _few_bars(subject: FeatureSubject) -> pd.DataFrame:
    return usual(subject.memory + 20)


def shape(subject: FeatureSubject) -> str:
    """Rows, index and names of columns of the result were compared with the bars."""
    data = _few_bars(subject)
    result = subject.compute(data)
    odd = [name for name in result.columns if not isinstance(name, str)]
    if odd:
        raise Failed(f"a column is called {odd[0]!r}", "give every column a string as its name")
    twice = result.columns[result.columns.duplicated()]
    if len(twice):
        raise Failed(f"there are two columns {twice[0]!r}", "name each column once")
    if not len(result.columns):
        raise Failed("it returned no columns", "return at least one")
    return f"{len(result)} rows for {len(data)} bars, with their index"


def dtypes(subject: FeatureSubject) -> str:
    """The dtypes of the columns were inspected."""
    result = subject.compute(_few_bars(subject))
    for name, dtype in result.dtypes.items():
        if not pd.api.types.is_numeric_dtype(dtype) or pd.api.types.is_complex_dtype(dtype):
            raise Failed(
                f"the column {name} holds {dtype}", "return real numbers: .astype('float64'), or take abs() or .real"
            )
    return ", ".join(sorted({str(dtype) for dtype in result.dtypes}))


def input_untouched(subject: FeatureSubject) -> str:
    """The frame that `compute` was given was compared with a copy of it afterwards."""
    data = subject.completed(_few_bars(subject))
    given = data.copy()
    subject.plugin.compute(given)
    if not given.index.equals(data.index):
        raise Failed("compute changed the index of the frame that it was given", "work on data.copy()")
    deviation = difference(data, given)
    if deviation is not None:
        raise Failed(
            f"compute changed the frame that it was given: {deviation.text}",
            "work on data.copy(), or on data.assign(…)",
        )
    return "the frame is as it was"


def edge_cases(subject: FeatureSubject) -> str:
    """Trends, jumps, constant prices, no volume, gaps, huge and tiny prices, one bar and none were computed."""
    frames = edges(subject.frequent)
    if subject.plugin.requires:
        holes = subject.completed(subject.bars)
        holes.loc[holes.index[::3], list(subject.plugin.requires)] = np.nan
        frames["required columns with holes"] = holes
    columns = list(subject.baseline.columns)
    for what, data in frames.items():
        result = subject.compute(data, what)
        if list(result.columns) != columns:
            raise Failed(
                f"the columns for {what} are {names(result)}, not {names(subject.baseline)}",
                "return the same columns always, NaN where there is no value",
            )
        for name, dtype in result.dtypes.items():
            if len(data) and (not pd.api.types.is_numeric_dtype(dtype) or pd.api.types.is_complex_dtype(dtype)):
                raise Failed(f"the column {name} for {what} holds {dtype}", "return real numbers: .astype('float64')")
        infinite = np.isinf(numbers(result))
        if infinite.any():
            row, column = (int(place) for place in np.argwhere(infinite)[0])
            raise Failed(
                f"{columns[column]} of row {row} is infinite for {what}",
                "undefined is NaN: .replace([np.inf, -np.inf], np.nan)",
            )
    _recovers(subject, frames["constant prices"].shape[0])
    return f"{len(frames)} kinds of bars"


def _recovers(subject: FeatureSubject, count: int) -> None:
    """One bar without volume must not end a column: what is infinite there and stays in a state is NaN for ever."""
    frames = edges(max(count, EARLY + 2 * subject.memory + 20))
    with_volume = subject.compute(walk(len(frames[ONE_WITHOUT_VOLUME]), 1))
    known = ~np.isnan(numbers(with_volume)[-1])
    lost = known & np.isnan(numbers(subject.compute(frames[ONE_WITHOUT_VOLUME], ONE_WITHOUT_VOLUME))[-1])
    if lost.any():
        raise Failed(
            f"the column {with_volume.columns[int(np.argmax(lost))]} is NaN for ever after one bar with volume 0",
            "keep what is not finite out of the state: if math.isfinite(value)",
        )


def outputs(subject: FeatureSubject) -> str:
    """The names of the columns were compared with the declared `outputs`."""
    declared = subject.plugin.outputs
    if declared is None:
        raise Inapplicable("it declares no outputs; a worker finds them out by a trial")
    if list(subject.baseline.columns) != list(declared):
        raise Failed(
            f"it declares {', '.join(map(str, declared))} and returns {names(subject.baseline)}",
            "make `outputs` the names that compute returns, in its order",
        )
    return names(subject.baseline)


def columns_read(subject: FeatureSubject) -> str:
    """A foreign column was added to the bars, and columns that it does not declare to read were changed."""
    data = subject.completed(subject.bars)
    result = subject.compute(data.assign(vwap=data["close"] * 3.0), "bars with one more column")
    deviation = difference(subject.baseline, result, subject.tolerance)
    if deviation is not None:
        raise Failed(
            f"with a foreign column in the frame {deviation.text}",
            "name the columns that you use: data['close'], not all of data",
        )
    reads = getattr(subject.plugin, "reads", None)
    if not isinstance(reads, tuple):
        return "a foreign column changes nothing"
    reads += subject.plugin.requires
    other = [name for name in data.columns if name not in reads]
    deviation = difference(subject.baseline, subject.compute(data.assign(**{name: data[name] * 7.0 for name in other})))
    if deviation is not None:
        raise Failed(f"it declares to read {', '.join(reads)}; when {', '.join(other)} changed, {deviation.text}",
                     "name every column that the step uses in `reads`")  # fmt: skip
    return f"it depends on {', '.join(reads)} alone"


def missing_values(subject: FeatureSubject) -> str:
    """A bar without prices was put between others: it must give NaN and leave the state as it was."""
    if not subject.fold:
        raise Inapplicable("a bar with holes never reaches compute: it is refused before")
    if not set(getattr(subject.plugin, "reads", ())) - {"time"}:
        raise Inapplicable("it reads nothing of the bar itself")
    data, middle = subject.bars, len(subject.bars) // 2
    hole = data.iloc[[middle]] * np.nan
    hole.index -= (data.index[middle] - data.index[middle - 1]) / 2  # between two bars: no time comes twice
    result = subject.compute(pd.concat([data.iloc[:middle], hole, data.iloc[middle:]]), "bars with a hole")
    if not result.iloc[middle].isna().all():
        raise Failed("a bar without prices got a value", "leave `out` alone, and declare all that is read in `reads`")
    deviation = difference(subject.baseline, _without(result, middle))
    if deviation is not None:
        raise Failed(
            f"after a bar without prices {deviation.text}", "declare every column that the step uses in `reads`"
        )
    return "NaN there, and the same bytes after it"


def _without(frame: pd.DataFrame, row: int) -> pd.DataFrame:
    return frame.iloc[[i for i in range(len(frame)) if i != row]]
