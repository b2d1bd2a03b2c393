"""The checks of signal generators that decide on all symbols of a time at once."""

import time

import numpy as np
import pandas as pd

from plugins.base import BaseSignalGenerator
from plugins.checks.features.feature_checks import judged
from plugins.checks.findings.outcome import Failed, Inapplicable
from plugins.checks.signals.subject import SYMBOLS, SignalSubject, first_difference
from plugins.pipeline.cross_sections.deciding import decide
from schemas.errors import PluginError

CONTENT = ("signal", "weight")
PART = 240


def other_times(subject: SignalSubject) -> str:
    """A cross-section among others was compared with the cross-section alone."""
    _only(subject)
    width = len(SYMBOLS)
    places = (0, 1, 37, len(subject.data) // width - 1)
    for place in places:
        rows = slice(place * width, (place + 1) * width)
        alone = subject.generate(subject.data.iloc[rows], "one time alone")
        deviation = first_difference(subject.baseline.iloc[rows], alone, CONTENT)
        if deviation is not None:
            raise Failed(
                f"alone, {deviation}",
                "decide from the predictions of that time only: group by time, keep nothing of others",
            )
    return f"{len(places)} times: each as if alone"


def absent_symbols(subject: SignalSubject) -> str:
    """Symbols without a prediction were compared with symbols that are not there: the others must get the same."""
    _only(subject)
    data = subject.data.copy()
    holes = np.arange(len(data)) % 7 == 3
    data.iloc[holes, 0] = np.nan
    with_holes = subject.generate(data, "predictions with NaN")[~holes]
    deviation = first_difference(with_holes, subject.generate(data[~holes], "some symbols absent"), CONTENT)
    if deviation is not None:
        raise Failed(
            f"when symbols without a prediction were left out, {deviation}",
            "leave out rows without a prediction before you rank, count or weigh",
        )
    ranks = subject.raw(data)
    if "rank" in ranks and ranks["rank"][holes].notna().any():
        raise Failed("a symbol without a prediction got a rank", "rank is NaN where the prediction is")
    return f"{int(holes.sum())} missing predictions: no rank, and no matter for others"


def live(subject: SignalSubject) -> str:
    """Decisions over the frame against those of a worker, which gives it one cross-section at a time."""
    part = subject.data.iloc[:PART].copy()
    part.iloc[::5, 0] = np.nan
    wanted = subject.generate(part).iloc[np.flatnonzero(part["prediction"].notna())]
    generator = subject.new()
    try:
        decisions = pd.concat([_decided(generator, section) for _, section in part.dropna().groupby(level="time")])
    except PluginError as error:
        raise Failed(f"one time at a time it fails: {error}", "a worker gives it one cross-section") from error
    if (difference := first_difference(wanted, decisions.loc[wanted.index], CONTENT)) is not None:
        raise Failed(
            f"decided one cross-section at a time, as a worker does, {difference}",
            "decide from the columns symbol, time and prediction, and from one time's rows only",
        )
    return f"{len(wanted)} rows, one time after the other: the same decisions"


def speed(subject: SignalSubject) -> str:
    """The time of a decision as a worker makes them, one cross-section at a time."""
    generator, section = subject.new(), subject.data.iloc[: len(SYMBOLS)]
    times = []
    for _ in range(20):
        begin = time.process_time()
        _decided(generator, section)
        times.append(time.process_time() - begin)
    return judged(subject.cls.cost, 1e6 * min(times) / len(section), "row")


def _decided(generator: BaseSignalGenerator, section: pd.DataFrame) -> pd.DataFrame:
    """What a worker gets for one cross-section."""
    symbols = section.index.get_level_values("symbol").tolist()
    moment = int(section.index.get_level_values("time")[0].timestamp() * 1000)
    decisions = decide(generator, moment, symbols, section["prediction"].tolist())
    signals = [value if isinstance(value, str) else float(value) for value in decisions.signal]
    return pd.DataFrame({"signal": signals, "weight": decisions.weight.tolist()}, section.index, dtype=object)


def _only(subject: SignalSubject) -> None:
    if not subject.cls.cross_section:
        raise Inapplicable("it decides on each symbol alone: cross_section is not True")
