"""The checks of features that take more than one of the parts."""

import re
import time

import numpy as np

from plugins.base import Plugin
from plugins.base.bars import bars_from_frame
from plugins.checks.bars import usual
from plugins.checks.features.subject import FeatureSubject
from plugins.checks.findings.compare import difference
from plugins.checks.findings.outcome import Failed
from plugins.checks.parameters import refused
from plugins.checks.process import outside

LIMITS = {"compiled": 2.0, "fast": 100.0}
"""Microseconds of a bar in each cost class; what takes more is slow."""
TOLERANCE = 5.0
"""A busy machine is slower: only a plugin this many times over its class is at fault."""


def reads_its_input_alone(subject: FeatureSubject) -> str:
    """Files, network, programs and clocks were watched while it was created and while it computed."""
    return outside.only_input(lambda: subject.new().compute(subject.completed(usual(60))), subject.cls)


def parameters(subject: FeatureSubject) -> str:
    """Values outside the declared limits, of another type, and an unknown name were tried."""

    def use(plugin: Plugin) -> None:
        assert isinstance(plugin, subject.cls)
        data = usual(80)
        whole, cut = subject.compute(data, plugin=plugin), subject.compute(data.iloc[:50], plugin=plugin)
        deviation = difference(whole.iloc[:50], cut, 1e-9)
        if deviation is not None:
            raise Failed(f"it looks ahead: {deviation.text} when later bars were cut off", "")

    return refused(subject.cls, subject.params, use)


def speed(subject: FeatureSubject) -> str:
    """The time of a bar was measured as a worker runs it, over interleaved symbols."""
    stream = subject.stream()
    # a fold's `compute` takes a bar once, another plugin's takes a whole window for each
    bar = subject.pace / (subject.memory + 20) if subject.fold else subject.pace
    least, most = (subject.memory + 3, 20_000) if subject.fold else (3, 200)
    count = max(least, min(most, int(0.1 / max(bar, 1e-6))))
    symbols = max(1, min(100, count // (2 * subject.memory)))
    bars = bars_from_frame(subject.completed(usual(count)), subject.plugin.requires)
    slots = np.arange(count, dtype=np.int64) % symbols
    outs = np.empty((count, len(stream.columns)))
    stream.prepare()
    times = []
    for _ in range(3):
        states = stream.new_states(symbols)
        begin = time.process_time()
        stream.run(states, slots, bars, outs)
        times.append(time.process_time() - begin)
    return judged(subject.plugin.cost, 1e6 * min(times) / count, "bar", stream.state_dtype.itemsize)


def judged(cost: str, microseconds: float, unit: str, state: int | None = None) -> str:
    """The processor time measured (other processes are no fault of a plugin) against the declared cost class."""
    size = "" if state is None else f", {state:,} bytes of state a symbol"
    saw = f"{microseconds:.3g} µs a {unit}{size}; declared {cost}"
    if microseconds > TOLERANCE * LIMITS.get(re.split(r"\W", cost)[0], np.inf):
        fits = next((name for name, limit in LIMITS.items() if microseconds <= limit), "slow")
        raise Failed(saw, f"declare cost = {fits!r}, or make it faster")
    return saw
