"""`valid_until` from a file of bars to a client, and what a backtest says of fills that no client would have."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backtest.engines.backtest import run_backtest
from backtest.replay.replay import replay_file
from backtest.replay.stretches import recreated, stretches
from plugins.strategy.ready import held_for_an_interval, ready_strategy
from schemas.configuration import Config, Strategy
from schemas.wire import Applied, Origin, encode

pytest.importorskip("exchange_calendars", reason="pip install 'alphawire[calendars]'")
pytest.importorskip("backtrader", reason="pip install 'alphawire[backtest]'")

FRIDAY, MONDAY_OPEN = pd.Timestamp("2024-03-09", tz="UTC"), pd.Timestamp("2024-03-11 13:30", tz="UTC")
CLIENT = Path(__file__).parents[2] / "examples" / "execution_client.py"


def strategy(calendar: str = "auto", **more: Any) -> Strategy:
    return Strategy(
        interval="1d", universe=["AAA"], features=[{"technical.rsi": {"period": 2}}], prediction="rsi",
        signal={"key": "signal.threshold", "buy_threshold": 55, "sell_threshold": 45},
        execution={"calendar": calendar, "weight": 0.5}, **more,
    )  # fmt: skip


@pytest.fixture
def file(tmp_path: Path) -> str:
    """Weekdays of 2024's first quarter whose prices go up and down."""
    days = pd.bdate_range("2024-01-01", "2024-03-29")
    close = 100 + 10 * np.sin(np.arange(len(days)) / 3)
    bars = {"symbol": "AAA", "time": days, "open": close, "high": close, "low": close, "close": close, "volume": 100.0}
    pd.DataFrame(bars).to_csv(tmp_path / "bars.csv", index=False)
    return str(tmp_path / "bars.csv")


def test_fridays_signal_is_good_on_monday(file: str) -> None:
    """The client that we show trades it at Monday's opening, where a backtest fills it."""
    spec = importlib.util.spec_from_file_location("client_of_valid_until", CLIENT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    outcomes = {}
    for calendar in ("auto", "XNYS"):
        signals = replay_file(ready_strategy("s", strategy(calendar)), file).raw
        friday = next(signal for signal in signals if signal.content.time == FRIDAY.value // 10**6)
        client = module.ExecutionClient(
            "s", {}, order=lambda *_: None, price=lambda _: 100.0, equity=lambda: 1e5,
            clock=lambda: MONDAY_OPEN.value // 10**6,
        )  # fmt: skip
        outcomes[calendar] = client.handle(encode(friday))
    assert outcomes == {"auto": "too late", "XNYS": "ordered"}


@pytest.mark.parametrize(
    ("calendar", "valid_for", "late"), [("auto", None, True), ("XNYS", None, False), ("auto", "4d", False)]
)
def test_a_backtest_counts_fills_that_came_too_late(
    calendar: str, valid_for: str | None, late: bool, file: str, tmp_path: Path
) -> None:
    chosen = strategy(calendar, valid_for=valid_for)
    replayed = replay_file(ready_strategy("s", chosen), file)
    results = run_backtest(chosen, replayed.bars, replayed.signals, ["backtrader"], tmp_path / "out")
    fills = results["backtrader"]["fills"]
    over_weekends = int((fills["time"].dt.day_of_week == 0).sum())
    assert 0 < over_weekends < len(fills)
    warnings = json.loads((tmp_path / "out" / "metrics.json").read_text())["warnings"]
    told = f"{over_weekends} of {len(fills)} fills came after their signal's valid_until: live they are dropped; name "
    assert [text.startswith(told) for text in warnings if "valid_until" in text] == [True] * late


def test_what_ran_before_sessions_were_known_can_be_made_again() -> None:
    ready = ready_strategy("s", strategy("XNYS"))
    config = Config(strategies={"s": strategy("XNYS")})
    for known in (ready, held_for_an_interval(ready)):
        entry = Applied("s", "bars", 0, 0, Origin(0, 0), 0, known.config_hash, known.config, layout=known.layout)
        again = recreated(entry, config)
        assert again is not None
        assert (again.config_hash, again.validity) == (known.config_hash, known.validity)


def test_other_sessions_are_named() -> None:
    """As after an update of exchange_calendars that knows another holiday."""
    ready = ready_strategy("s", strategy("XNYS"))
    config = ready.config | {"sessions": "0" * 16}
    entry = Applied("s", "bars", 0, 0, Origin(0, 0), 0, "0" * 16, config, layout=ready.layout)
    (stretch,) = stretches([entry], 0, ready, Config(strategies={"s": strategy("XNYS")}))
    assert stretch.strategy is None
    assert "it needs other sessions of XNYS" in (stretch.fault or "")
