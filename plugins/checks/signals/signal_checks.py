"""The checks of signal generators."""

import time

import numpy as np
import pandas as pd

from plugins.base import BaseSignalGenerator, Decisions, Plugin
from plugins.base.bars import bars_from_frame
from plugins.base.streaming import slots_of
from plugins.checks.features.feature_checks import judged
from plugins.checks.findings.outcome import Failed
from plugins.checks.parameters import refused
from plugins.checks.process import outside
from plugins.checks.signals import section_checks
from plugins.checks.signals.subject import SYMBOLS, SignalSubject, first_difference, predictions
from plugins.fold.windowed import streaming
from schemas.canonical import sha256_hex
from schemas.errors import PluginError

CONTENT = ("signal", "weight")


def reads_its_input_alone(subject: SignalSubject) -> str:
    """Files, network, programs and clocks were watched while it was created and while it decided."""
    return outside.only_input(lambda: subject.new().generate(subject.data.iloc[:24]), subject.cls)


def computes(subject: SignalSubject) -> str:
    """It decided on the predictions of twelve symbols at eighty times."""
    kinds = subject.baseline["signal"].map(lambda value: value if isinstance(value, str) else "a number")
    asked = f"; it was given {', '.join(subject.asked)}, for which it asked" if subject.asked else ""
    return ", ".join(f"{count} {kind}" for kind, count in kinds.value_counts().items()) + asked


def input_untouched(subject: SignalSubject) -> str:
    """The frame that `generate` was given was compared with a copy of it afterwards."""
    given = subject.data.copy()
    subject.new().generate(given)
    if list(given.columns) != list(subject.data.columns) or not given.equals(subject.data):
        raise Failed("generate changed the frame that it was given", "return predictions.assign(signal=…)")
    return "the frame is as it was"


def repeatable(subject: SignalSubject) -> str:
    """Decided twice by new instances, and once in a process with another hash seed."""
    deviation = first_difference(subject.baseline, subject.generate(subject.data))
    if deviation is not None:
        raise Failed(f"the second time {deviation}", "no clock, no unseeded random numbers, no order of a set")
    return f"SHA-256 {sha256_hex(repr(subject.baseline.to_numpy().tolist()).encode())[:16]}"


def no_look_ahead(subject: SignalSubject) -> str:
    """Predictions after one time were multiplied, replaced or cut off: nothing up to that time may change."""
    data = subject.data
    width, times = len(SYMBOLS), len(data) // len(SYMBOLS)
    other = predictions(2, times, subject.asked)
    for last in (times // 2, 3 * times // 4, 0, 5, times - 2):
        rows = (last + 1) * width
        for what, changed in {
            "were multiplied by 1000": pd.concat([data.iloc[:rows], data.iloc[rows:] * 1000.0]),
            "were replaced": pd.concat([data.iloc[:rows], other.iloc[rows:]]),
            "were cut off": data.iloc[:rows],
        }.items():
            deviation = first_difference(
                subject.baseline.iloc[:rows], subject.generate(changed, "changed futures").iloc[:rows]
            )
            if deviation is not None:
                raise Failed(
                    f"when the predictions after time {last} {what}, {deviation}",
                    "decide from this time's predictions and earlier ones: rank within a time, roll within a symbol",
                )
    return "15 changed futures changed nothing before them"


def row_order(subject: SignalSubject) -> str:
    """The rows of each time were put into another order: each symbol must get the same decision."""
    width = len(SYMBOLS)
    random = np.random.default_rng(4)
    starts = range(0, len(subject.data), width)
    order = np.concatenate([start + random.permutation(width) for start in starts])
    back = np.argsort(order)
    shuffled = subject.generate(subject.data.iloc[order], "rows in another order").iloc[back]
    deviation = first_difference(subject.baseline, shuffled, CONTENT)
    if deviation is not None:
        raise Failed(
            f"with the rows of a time in another order {deviation}",
            "group by symbol or by time, not by position; break ties by the symbol's name",
        )
    return "the same decisions in any order"


def symbols(subject: SignalSubject) -> str:
    """A symbol among others was compared with the symbol alone, and an instance with a fresh one.

    In a cross-section only the latter: there others have their say.
    """
    used = subject.new()
    subject.generate(predictions(3, more=subject.asked), "other predictions", used)
    deviation = first_difference(subject.baseline, subject.generate(subject.data, plugin=used))
    if deviation is not None:
        raise Failed(f"after other predictions, {deviation}", "generate must begin anew: keep nothing on the instance")
    if subject.cls.cross_section:
        return "an instance that has decided before decides as a fresh one"
    for symbol in SYMBOLS[:3]:
        rows = subject.data.index.get_level_values("symbol") == symbol
        alone = subject.generate(subject.data[rows], f"{symbol} alone")
        deviation = first_difference(subject.baseline[rows], alone, CONTENT)
        if deviation is not None:
            raise Failed(
                f"alone, {deviation}",
                "one symbol's decision must not depend on another's: group by symbol",
            )
    return f"{', '.join(SYMBOLS[:3])}: each as if alone"


def missing_values(subject: SignalSubject) -> str:
    """Some predictions were made NaN: they must give HOLD without a weight, and never a rank."""
    data = subject.data.copy()
    holes = np.arange(0, len(data), 7)
    data.iloc[holes, 0] = np.nan
    decisions = subject.generate(data, "predictions with NaN")
    traded = decisions.iloc[holes]
    for place, signal, weight in zip(traded.index, traded["signal"].tolist(), traded["weight"].tolist(), strict=True):
        if signal != "HOLD" or weight == weight:
            raise Failed(
                f"{place[0]} without a prediction got {signal!r}, weight {weight}",
                "no prediction: signal HOLD (or NaN for a number), weight NaN",
            )
    lone = subject.generate(data.iloc[:1], "one row without a prediction")
    if lone["signal"].iloc[0] != "HOLD":
        raise Failed(f"a lone row without a prediction got {lone['signal'].iloc[0]!r}", "no prediction: HOLD")
    subject.generate(data.iloc[:0], "no row")
    return f"{len(holes)} missing predictions: HOLD, no weight"


def batch_equals_live(subject: SignalSubject) -> str:
    """Decisions over the frame were compared with those that a worker makes: each row alone, by the fold's steps, or
    one cross-section at a time.
    """
    if subject.cls.cross_section:
        return section_checks.live(subject)
    part = subject.data.iloc[:240]
    wanted = subject.generate(part)
    for size in (1, 7, 1000):
        try:
            live = _live(subject.new(), part, size)
        except PluginError as error:
            raise Failed(f"row by row it fails: {error}", "a worker gives it one row: decide from that") from error
        deviation = first_difference(wanted, live, CONTENT)
        if deviation is not None:
            raise Failed(
                f"decided {size} at a time, as a worker does, {deviation}",
                "decide each row from itself alone, or keep what came before in a fold (plugins.fold.generator)",
            )
    return f"{len(part)} rows, in chunks of 1, 7 and 1000: the same decisions"


def _live(generator: BaseSignalGenerator, data: pd.DataFrame, size: int) -> pd.DataFrame:
    """Decisions on `data` in chunks, as the pipeline asks for them: the fold, if there is one, is stepped first."""
    worker = _Worker(generator, data)
    decided = [worker.decide(slice(first, first + size)) for first in range(0, len(data), size)]
    signals = [value if isinstance(value, str) else float(value) for part in decided for value in part.signal]
    weights = [weight for part in decided for weight in part.weight.tolist()]
    return pd.DataFrame({"signal": signals, "weight": weights}, data.index, dtype=object)


class _Worker:
    """A generator as the pipeline drives it: arrays, and the state of its fold."""

    def __init__(self, generator: BaseSignalGenerator, data: pd.DataFrame) -> None:
        self.generator = generator
        self.columns = {str(name): data[name].to_numpy(np.float64) for name in data}
        self.fold = None if generator.fold is None else streaming(generator.fold)
        if self.fold is not None:
            requires = self.fold.plugin.requires
            self.slots, count = slots_of(data.index)
            self.states, self.bars = self.fold.new_states(count), bars_from_frame(data[list(requires)], requires)

    def decide(self, rows: slice) -> Decisions:
        columns = {name: values[rows] for name, values in self.columns.items()}
        if self.fold is not None:
            bars = self.bars[rows]
            outs = np.empty((len(bars), len(self.fold.columns)))
            self.fold.run(self.states, self.slots[rows], bars, outs)
            columns |= {name: outs[:, i] for i, name in enumerate(self.fold.columns)}
        return self.generator.decide(columns)


def parameters(subject: SignalSubject) -> str:
    """Values outside the declared limits, of another type, and an unknown name were tried."""

    def use(plugin: Plugin) -> None:
        assert isinstance(plugin, BaseSignalGenerator)
        subject.generate(subject.data, plugin=plugin)

    return refused(subject.cls, subject.params, use)


def speed(subject: SignalSubject) -> str:
    """The time of a decision was measured as a worker makes them, a hundred (or a cross-section) at a time."""
    if subject.cls.cross_section:
        return section_checks.speed(subject)
    worker = _Worker(subject.new(), subject.data.iloc[:400])
    times = []
    for first in (0, 100, 200, 300):
        begin = time.process_time()
        worker.decide(slice(first, first + 100))
        times.append(time.process_time() - begin)
    return judged(subject.cls.cost, 1e6 * min(times) / 100, "row")
