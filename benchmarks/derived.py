"""What columns cost that are made of bars and columns: longer bars, lags, an expression, the calendar.

Each in the pipeline's own call (bars in, feature rows out) beside the plain feature, at 500 interleaved symbols and in
chunks of 500, in turn in one process, by its processor's time; medians.
"""

import statistics
import time
from typing import Any

from benchmarks.common import generated_bars
from benchmarks.in_memory import chunks
from plugins.pipeline.frames import batch_from_frame
from plugins.pipeline.outcome import Outcome
from plugins.pipeline.pipeline import Pipeline
from plugins.pipeline.strategy_run import Source
from plugins.strategy.ready import ReadyStrategy, ready_strategy
from schemas.configuration import Strategy

SYMBOLS, EACH, CHUNK, ROUNDS = 500, 200, 500, 7
RSI: dict[str, Any] = {"technical.rsi": {"period": 14}}
KINDS: dict[str, dict[str, Any]] = {
    "technical.rsi": {"features": [RSI]},
    "the same of hours": {"features": [{"technical.rsi": {"period": 14, "interval": "1h"}}]},
    "the same of sessions": {"features": [{"technical.rsi": {"period": 14, "interval": "1d", "session": "XNYS"}}]},
    "with 10 lags": {"features": [{"technical.rsi": {"period": 14, "lags": list(range(1, 11))}}]},
    "with an expression": {"features": [RSI], "expr": {"x": "where(rsi > 50, log(rsi) - 4, max(rsi, 1) / 2)"}},
    "with minutes_to_close": {"features": [RSI, {"time.minutes_to_close": {"session": "XNYS"}}]},
}


def strategy(kind: dict[str, Any]) -> ReadyStrategy:
    plain = {"interval": "1m", "prediction": "rsi", "signal": "signal.threshold"} | kind
    return ready_strategy("one", Strategy.model_validate(plain))


def seconds(ready: ReadyStrategy, batch: Any) -> float:
    """For one bar: gate and features."""
    pipeline = Pipeline([ready], Source("bars", 0, ""))
    group, run = pipeline.groups["1m"], pipeline.runs["one"]
    began = time.process_time()
    for chunk in chunks(batch, CHUNK):
        run.step(group.accept(chunk["1m"], Outcome()))
    return (time.process_time() - began) / len(batch)


def main(_engine: str = "tansu") -> None:
    batch = batch_from_frame(generated_bars(SYMBOLS, EACH))
    ready = {name: strategy(kind) for name, kind in KINDS.items()}
    for one in ready.values():
        seconds(one, batch)  # compiled
    taken: dict[str, list[float]] = {name: [] for name in KINDS}
    for _ in range(ROUNDS):
        for name, one in ready.items():
            taken[name].append(seconds(one, batch))
    plain = statistics.median(taken["technical.rsi"])
    print(f"{'gate and features, µs a bar':<34} {'all':>8} {'more':>8} {'times':>6}")
    for name, each in taken.items():
        own = statistics.median(each)
        print(f"{name:<34} {own * 1e6:8.3f} {(own - plain) * 1e6:8.3f} {own / plain:6.2f}")


if __name__ == "__main__":
    main()
