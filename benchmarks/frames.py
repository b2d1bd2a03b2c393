"""A new bar beside what FreqAI makes of one: the same columns by pandas, over the window that it keeps.

Three intervals (minutes, quarters of an hour, hours) of an RSI and of a relative change, each with three shifts. As in
FreqAI (`include_timeframes`, `include_shifted_candles`) the frame of each interval is computed anew when a bar comes,
over the bars that the longest of them needs, and joined to the minutes; here the state goes one bar on. Processor time
of one process, in turn, medians. And bars a second to a dataset, beside a replay of the same file.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from backtest.replay.replay import replay_file
from backtest.training.dataset import dataset, write_dataset
from benchmarks.common import generated_bars, write_config
from benchmarks.in_memory import chunks
from plugins.pipeline.frames import batch_from_frame
from plugins.pipeline.outcome import Outcome
from plugins.pipeline.pipeline import Pipeline, prepare
from plugins.pipeline.strategy_run import Source
from plugins.strategy.ready import ready_strategy
from schemas.configuration import Config, Strategy
from streams.ingest.bar_files import read_bars

SYMBOLS, EACH, ROUNDS, TRIED = 500, 200, 5, 10
INTERVALS = {"1m": "1min", "15m": "15min", "1h": "1h"}
SHIFTS, PERIOD, WINDOW = (1, 2, 3), 14, 20
STARTUP = 60 * (2 * PERIOD + WINDOW)
"""Minutes that a frame of hours needs before the last one."""


def features() -> list[dict[str, Any]]:
    made = []
    for interval in INTERVALS:
        own = {"lags": list(SHIFTS), **({} if interval == "1m" else {"interval": interval})}
        made.append({"technical.rsi": {"period": PERIOD, "as": f"rsi_{interval}", **own}})
        made.append({"statistical.momentum": {"window": WINDOW, "as": f"momentum_{interval}", **own}})
    return made


def ours(batch: Any, together: int) -> float:
    """Seconds a bar, gate and features, where so many bars come together."""
    plain = {"interval": "1m", "features": features(), "prediction": "rsi_1m", "signal": "signal.threshold"}
    ready = ready_strategy("one", Strategy.model_validate(plain))
    pipeline = Pipeline([ready], Source("bars", 0, ""))
    group, run = pipeline.groups["1m"], pipeline.runs["one"]
    began = time.process_time()
    for chunk in chunks(batch, together):
        run.step(group.accept(chunk["1m"], Outcome()))
    return (time.process_time() - began) / len(batch)


def theirs(minutes: pd.DataFrame) -> pd.DataFrame:
    """The columns of the last minute."""
    columns = {}
    for interval, rule in INTERVALS.items():
        close = minutes["close"].resample(rule, closed="right", label="right").last()
        change = close.diff()
        moves = (change.clip(lower=0.0), -change.clip(upper=0.0))
        gain, loss = (move.ewm(alpha=1.0 / PERIOD, adjust=False).mean() for move in moves)
        columns[f"rsi_{interval}"] = 100.0 * gain / (gain + loss)
        columns[f"momentum_{interval}"] = close.pct_change(WINDOW, fill_method=None)
    frame = pd.DataFrame({name: made.reindex(minutes.index, method="ffill") for name, made in columns.items()})
    shifted = [made.shift(shift).reindex(minutes.index, method="ffill").rename(f"{name}.lag{shift}")
               for name, made in columns.items() for shift in SHIFTS]  # fmt: skip
    return pd.concat([frame, *shifted], axis=1).iloc[-1:]


def seconds(minutes: pd.DataFrame) -> float:
    began = time.process_time()
    for _ in range(TRIED):
        theirs(minutes)
    return (time.process_time() - began) / TRIED


def exported(config: Config, file: Path) -> int:
    """As `alphawire features --out`."""
    made = dataset("demo", config, read_bars([str(file)], "1m"))
    write_dataset(made, file.with_name("dataset.parquet"))
    return len(made.rows)


def timed(run: Callable[[], object]) -> float:
    began = time.process_time()
    run()
    return time.process_time() - began


def columns() -> None:
    batch, few = (batch_from_frame(generated_bars(SYMBOLS, each)) for each in (EACH, 4))
    one = generated_bars(1, STARTUP)
    minutes = one.set_index(pd.DatetimeIndex(pd.to_datetime(one["close_time"], unit="ms", utc=True)))
    ours(batch, SYMBOLS), seconds(minutes)  # compiled, imported
    taken = [(ours(batch, SYMBOLS), ours(few, 1), seconds(minutes)) for _ in range(ROUNDS)]
    together, alone, frames = (statistics.median(each) * 1e6 for each in zip(*taken, strict=True))
    print(f"24 columns of three intervals, µs a new bar: {together:.2f} of {SYMBOLS} together, {alone:.0f} alone;")
    print(f"pandas over {STARTUP:,} minutes, as FreqAI: {frames:,.0f}: {frames / together:,.0f} and"
          f" {frames / alone:,.0f} times as many (wanted: 100)")  # fmt: skip


def files() -> None:
    with tempfile.TemporaryDirectory() as folder:
        _, config = write_config(Path(folder), "localhost:9")
        file, bars = Path(folder) / "bars.parquet", generated_bars(SYMBOLS, 2 * EACH)
        bars.drop(columns=["interval", "close_time"]).to_parquet(file, index=False)
        ready = ready_strategy("demo", config.strategy("demo"))
        prepare([ready])
        runs: list[Callable[[], object]] = [lambda: exported(config, file), lambda: replay_file(ready, str(file))]
        taken = [[timed(run) for run in runs] for _ in range(ROUNDS + 1)][1:]
        export, replay = (len(bars) / statistics.median(each) for each in zip(*taken, strict=True))
    print(f"bars a second of processor time: dataset {export:,.0f}, replay {replay:,.0f}: {export / replay:.2f} times"
          " (wanted: 0.8)")  # fmt: skip


def main(_engine: str = "tansu") -> None:
    columns()
    files()


if __name__ == "__main__":
    main()
