"""Strategies on bars that no time closes: live, in files, in backtests, and what their configuration must say."""

import asyncio
import json
import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest

from backtest.engines.backtest import run_backtest
from backtest.replay.replay import replay_file
from backtest.sources.bars import Frames, Step
from backtest.training.targets import targets_of
from backtest.trials.trials import Ledger
from plugins.engines.results.sessions import periods_per_year
from plugins.fold.trades.builder import BarBuilder
from plugins.fold.trades.kinds import BarKind
from plugins.pipeline.pipeline import Pipeline
from plugins.pipeline.strategy_run import Source
from plugins.strategy.ready import ready_strategy
from schemas.configuration import Config, Strategy
from schemas.errors import ConfigurationError
from schemas.wire import Bar, encode
from schemas.wire.trades import Trade
from streams.consuming.intake import Intake
from streams.ingest.bar_files import read_bars, refused
from tests.streams.test_crash import difference
from tests.support.memory import Log, fetched, live, ready, undisturbed

KIND = "volume:20"
START = 1_700_000_000_000
FIVE_MINUTES = 300_000
YEAR = 365.25 * 86_400_000


def trades(count: int = 6_000, symbols: str = "AB", seed: int = 3) -> list[Trade]:
    chance, time = random.Random(seed), START
    prices = dict.fromkeys(symbols, 100.0)
    made = []
    for number in range(count):
        time += chance.choice([0, 40, 3_000, 90_000])
        symbol = chance.choice(symbols)
        prices[symbol] = round(prices[symbol] * (1 + chance.gauss(0, 0.001)), 2)
        made.append(Trade(symbol, time, prices[symbol], chance.randrange(1, 300) / 100, str(number)))
    return made


def bars(kind: str = KIND, some: list[Trade] | None = None) -> list[Bar]:
    builder = BarBuilder(BarKind.of(kind))
    given = trades() if some is None else some
    return [one.bar for offset, trade in enumerate(given) for one in builder.feed(trade, offset)]


def as_frame(some: list[Bar]) -> pd.DataFrame:
    names = [name for name in Bar.__struct_fields__ if name not in ("closed", "flat")]
    return pd.DataFrame([[getattr(bar, name) for name in names] for bar in some], columns=names)


@pytest.fixture
def file(tmp_path: Path) -> str:
    as_frame(bars()).to_parquet(tmp_path / "volume.parquet")
    return str(tmp_path / "volume.parquet")


def strategy(**changes: Any) -> Strategy:
    settings = {
        "interval": "volume:2e1", "features": [{"technical.rsi": {"period": 3}}], "prediction": "rsi",
        "signal": {"key": "signal.threshold", "buy_threshold": 60.0, "sell_threshold": 40.0}, "valid_for": "5m",
        "execution": {"weight": 0.3},
    }  # fmt: skip
    return Strategy.model_validate(settings | changes)


def test_a_file_gives_a_signal_for_each_bar(file: str) -> None:
    made = ready_strategy("s", strategy())
    signals = [one.content for one in replay_file(made, file).raw]
    wanted = bars()
    assert made.interval == "volume:20"
    times = sorted((bar.close_time, bar.symbol) for bar in wanted)
    assert [(one.time, one.symbol) for one in signals] == times
    assert {one.gap for one in signals} <= {0, None}
    assert {one.valid_until - one.time for one in signals} == {FIVE_MINUTES}


def test_bars_come_once_and_forward(file: str) -> None:
    """A repeat is dropped, another bar of one close is refused, one that closed before the last is late."""
    wanted = bars()[:60]
    a = [bar for bar in wanted if bar.symbol == "A"]
    plain = [msgspec.to_builtins(bar) for bar in a]
    closed = plain[9]["close_time"]
    late = plain[10] | {"open_time": closed - 2, "close_time": closed - 1}
    log = [*plain[:10], plain[9], plain[9] | {"volume": 99.0}, late]
    made = ready("one", interval=KIND, valid_for="5m")
    taken = Intake(0, 1, "murmur2").read(fetched(log))
    outcome = Pipeline([made], Source("bars", 0, "v")).feed(taken.batches)
    assert (outcome.counts["bars"], outcome.counts["repeats"]) == (10, 1)
    assert [refusal.kind for refusal in outcome.refusals] == ["correction", "late"]


@pytest.mark.parametrize("transactional", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_lives_cut_short_lose_nothing(seed: int, transactional: bool) -> None:
    """Beside a strategy of minutes on the same partition."""
    rng = random.Random(900 + seed)
    log_bars = [
        msgspec.to_builtins(bar)
        for bar in sorted(bars(some=trades(1_200)) + bars("1m", trades(400)), key=lambda bar: bar.close_time)
    ]
    for _ in range(20):
        log_bars.insert(rng.randrange(50, len(log_bars)), rng.choice(log_bars[:40]))
    log, some = Log(), [ready("volume", interval=KIND, valid_for="5m"), ready("minutes")]

    async def run() -> None:
        for _ in range(rng.randint(2, 8)):
            await live(log, fetched(log_bars), some, rng, dies_at=rng.randint(0, 15), transactional=transactional)
        await live(log, fetched(log_bars), some, rng, transactional=transactional)

    asyncio.run(run())
    found = log.signals()
    assert difference(found, undisturbed(fetched(log_bars), some)) == {}
    assert len(found) > 100


def test_fills_are_at_the_next_bars_first_trade(file: str, tmp_path: Path) -> None:
    """When that is past a signal's validity, live it is dropped, and the report counts it; all by plain lines."""
    pytest.importorskip("backtrader", reason="pip install 'alphawire[backtest]'")
    chosen = strategy()
    replayed = replay_file(ready_strategy("s", chosen), file)
    results = run_backtest(chosen, replayed.bars, replayed.signals, ["backtrader"], tmp_path / "out")
    fills, following = results["backtrader"]["fills"], {}
    own: dict[str, list[Bar]] = {}
    for bar in bars():
        own.setdefault(bar.symbol, []).append(bar)
    for symbol, some in own.items():
        for one, after in pairwise(some):
            following[symbol, one.close_time] = after
    late = 0
    assert len(fills) > 20
    for row in fills.itertuples():
        after = following[row.symbol, row.signal_time.value // 10**6]
        assert (row.time.value // 10**6, row.bar.value // 10**6) == (after.open_time, after.close_time)
        late += after.open_time > row.signal_time.value // 10**6 + FIVE_MINUTES
    told = [text for text in _warnings(tmp_path / "out") if "valid_until" in text]
    assert [text.split(" of ")[0] for text in told] == ([str(late)] if late else [])


def _warnings(folder: Path) -> list[str]:
    found: list[str] = json.loads((folder / "metrics.json").read_text())["warnings"]
    return found


def test_a_year_has_as_many_bars_as_the_time_says(file: str, tmp_path: Path) -> None:
    pytest.importorskip("backtrader", reason="pip install 'alphawire[backtest]'")
    ledger = Ledger(tmp_path)
    chosen = strategy(execution={"calendar": "24/7"})
    replayed = replay_file(ready_strategy("s", chosen), file)
    results = run_backtest(
        chosen, replayed.bars, replayed.signals, ["backtrader"], tmp_path / "out", name="s", ledger=ledger
    )
    times = sorted({bar.close_time for bar in bars()})
    metrics = results["backtrader"]["metrics"]
    periods = (len(times) - 1) * YEAR / (times[-1] - times[0])
    assert metrics["periods_per_year"] == pytest.approx(periods, rel=1e-12)
    equity = results["backtrader"]["equity_curve"]["equity"].to_numpy()
    returns = equity[1:] / equity[:-1] - 1
    assert metrics["volatility"] == pytest.approx(returns.std(ddof=1) * np.sqrt(periods), rel=1e-9)
    years = (times[-1] - times[0]) / YEAR
    assert metrics["cagr"] == pytest.approx((equity[-1] / 100_000) ** (1 / years) - 1, rel=1e-9)
    assert [trial.interval_ms for trial in ledger.of("s")] == ["volume:20"]
    told = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert told["first_open"] == pd.Timestamp(min(bar.open_time for bar in bars()), unit="ms", tz="UTC").isoformat()


def test_one_bar_is_no_year() -> None:
    one = pd.DatetimeIndex([pd.Timestamp("2024-01-01", tz="UTC")])
    assert periods_per_year(one, 0) > 0


def test_file_and_topic_give_the_same_frame(file: str) -> None:
    """Also when the bars opened, by which a training knows when a target is known."""
    wanted = bars()
    log = fetched([msgspec.to_builtins(bar) for bar in wanted])
    frames = Frames("volume:2e1")
    intake = Intake(0, 1, "murmur2")
    for first in range(0, len(log), 50):
        frames.take(Step(0, intake.read(log[first : first + 50]).batches))
    topic, read = frames.whole().astype({"symbol": object}), read_bars([file], "volume:20")
    columns = ["symbol", "open_time", "close_time", "open", "high", "low", "close", "volume"]
    pd.testing.assert_frame_equal(topic[columns], read[columns])
    made = as_frame(wanted).sort_values(["close_time", "symbol"], ignore_index=True).astype({"symbol": object})
    pd.testing.assert_frame_equal(read[columns], made[columns])
    assert refused(read).rows == 0


def test_targets_count_bars_and_no_time(file: str) -> None:
    read = read_bars([file], KIND)
    index = pd.MultiIndex.from_arrays(
        [read["symbol"], pd.to_datetime(read["close_time"], unit="ms", utc=True)], names=["symbol", "time"]
    )
    chosen = strategy(training={"horizon_bars": 2})
    (target, known), across = targets_of(read, index, chosen)
    assert not across.any()
    a = [bar for bar in bars() if bar.symbol == "A"]
    mine = (index.get_level_values(0) == "A").nonzero()[0]
    assert target.iloc[mine[5]] == pytest.approx(a[8].open / a[6].open - 1)
    assert known.iloc[mine[5]] == a[8].open_time


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"valid_for": None}, "valid_for: 10m"),
        ({"publish": "changes"}, "heartbeat: 1h"),
        ({"interval": "volume:0"}, "volume:10000"),
        ({"interval": "tick:1.5"}, "volume:10000"),
        ({"interval": "size:5"}, "volume:10000"),
    ],
)
def test_what_must_be_declared(changes: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        strategy(**changes)


def test_a_cross_section_needs_common_times() -> None:
    ranked = strategy(signal="signal.ranking", universe=["A", "B", "C", "D"])
    with pytest.raises(ConfigurationError, match="have none in common"):
        ready_strategy("s", ranked)


def test_a_file_must_say_when_such_bars_closed(tmp_path: Path) -> None:
    as_frame(bars()).drop(columns="close_time").to_csv(tmp_path / "open.csv", index=False)
    with pytest.raises(ConfigurationError, match="close_time beside open_time"):
        read_bars([tmp_path / "open.csv"], KIND)
    turned = as_frame(bars()[:20])
    turned.loc[3, "close_time"] = turned.loc[3, "open_time"]
    turned.to_csv(tmp_path / "turned.csv", index=False)
    read = read_bars([tmp_path / "turned.csv"])
    assert (len(read), refused(read).reasons) == (19, {"that close before they open": 1})


def test_names_of_one_kind_are_one_configuration() -> None:
    made = [ready_strategy("s", strategy(interval=name)) for name in ("volume:2e1", "volume:20", "volume:20.0")]
    assert len({(one.config_hash, one.layout, one.memory) for one in made}) == 1
    assert made[0].as_of(made[0].config_hash) is not None
    assert Config(strategies={"s": strategy()}).strategy("s").interval == "volume:2e1"


def test_states_are_restored() -> None:
    """Also the memory of repeats, whose name has the interval's in it: from a snapshot as without one."""
    log = fetched([msgspec.to_builtins(bar) for bar in bars()[:200]])
    some = [ready("one", interval=KIND, valid_for="5m")]
    whole = undisturbed(log, some)
    first = Pipeline(some, Source("bars", 0, "v"))
    first.feed(Intake(0, 1, "murmur2").read(log[:120]).batches)
    second = Pipeline(some, Source("bars", 0, "v"))
    second.restore(list(first.capture(120).snapshots()))
    outcome = second.feed(Intake(0, 1, "murmur2").read(log[110:]).batches)
    found = {signal.content.id: encode(signal) for signal in outcome.signals}
    assert len(found) == 80
    assert found.items() <= whole.items()
