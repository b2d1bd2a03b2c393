"""The table of docs/talib.md: the way of each of TA-Lib's functions, and what a bar costs.

Live: one bar of each of 500 symbols at a time. History: all bars of one symbol at once, as training and replay of one
symbol have them. Processor time, medians of three.
"""

import statistics
import time

import numpy as np

from benchmarks.common import generated_bars
from plugins.base import FloatArray
from plugins.base.streaming import Rows
from plugins.features import feature_registry
from plugins.features.ta.functions import AVERAGES, Function, Parameter, functions
from plugins.features.ta.ways import LEFT_OUT, NAMES, WAYS
from plugins.fold import FoldFeature
from plugins.pipeline.frames import batch_from_frame

SYMBOLS, EACH, ROUNDS = 500, 6, 3


def row(function: Function, live: str, history: str) -> str:
    """One of the table; the times are given, and everything else is known."""
    made = feature_registry.create(f"ta.{function.name}")
    assert isinstance(made, FoldFeature)
    parameters = ", ".join(map(_told, function.parameters))
    columns = ", ".join(f"`{column}`" for column in made.columns)
    way = NAMES[WAYS[function.name].kind]
    return f"| `ta.{function.name}` | {parameters} | {columns} | {way} | {made.warmup + 1} | {live} | {history} |"


def left_out() -> list[str]:
    return [f"| {name} | {reason} |" for name, reason in LEFT_OUT.items()]


def _told(parameter: Parameter) -> str:
    if parameter.kind == "average":
        return f"{parameter.name} {parameter.default} ({AVERAGES[parameter.default]})"
    return f"{parameter.name} {parameter.default}"


def seconds(made: FoldFeature, bars: Rows, slots: "np.ndarray[tuple[int], np.dtype[np.int64]]", chunk: int) -> float:
    """For one bar."""
    states, outs = made.new_states(SYMBOLS), np.empty((chunk, len(made.columns)))
    began = time.process_time()
    for first in range(0, len(bars), chunk):
        made.run(states, slots[first : first + chunk], bars[first : first + chunk], outs)
    return (time.process_time() - began) / len(bars)


def cost(name: str, bars: Rows) -> FloatArray:
    """Live and over a history, µs a bar."""
    made = feature_registry.create(f"ta.{name}")
    assert isinstance(made, FoldFeature)
    made.prepare()
    many, one = np.arange(len(bars), dtype=np.int64) % SYMBOLS, np.zeros(len(bars), np.int64)
    rounds = [(seconds(made, bars, many, SYMBOLS), seconds(made, bars, one, len(bars))) for _ in range(ROUNDS)]
    return np.array([statistics.median(each) for each in zip(*rounds, strict=True)]) * 1e6


def main(_engine: str = "tansu") -> None:
    bars = batch_from_frame(generated_bars(SYMBOLS, EACH)).bars
    for name in WAYS:
        live, history = (f"{each:.3f}" if each < 1.0 else f"{each:.1f}" for each in cost(name, bars))
        print(row(functions()[name], live, history), flush=True)
    print("\n".join(left_out()))


if __name__ == "__main__":
    main()
