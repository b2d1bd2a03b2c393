"""The ledger's account, stepped: cut anywhere, stored and restored, it comes to the same last bit."""

import json
from typing import Any

import numpy as np
import pytest
from scenarios import scenario

from plugins.engines import engine_registry
from plugins.engines.account.account import Account, rows_of, simulate
from plugins.engines.market import Market, prepare, prepare_bars
from schemas.canonical import canonical_json
from schemas.configuration import Execution
from schemas.errors import ConfigurationError

SEEDS = range(30)


def market_of(seed: int) -> tuple[Market, Execution]:
    case = scenario(seed)
    execution = Execution(**case.rules)
    return prepare(case.prices, case.signals, execution), execution


def stepped(market: Market, execution: Execution, length: int) -> tuple[list[Any], bytes]:
    """Rows `length` at a time, each by a new account that knows only the stored state of the one before."""
    logs, state = [], canonical_json(Account(execution, market.lots).state())
    for begin in range(0, len(market.times), length):
        account = Account(execution, market.lots)
        account.restore(json.loads(state))
        logs.append(account.advance(rows_of(market, execution, begin, begin + length)))
        state = canonical_json(account.state())
    return logs, state


@pytest.mark.parametrize("length", [1, 7])
def test_bar_by_bar_is_all_at_once(length: int) -> None:
    fills = 0
    for seed in SEEDS:
        market, execution = market_of(seed)
        whole = simulate(market, execution)
        logs, _ = stepped(market, execution, length)
        for name in ("fills", "cuts", "cash", "net"):
            joined = np.concatenate([getattr(log, name) for log in logs])
            assert joined.tolist() == getattr(whole, name).tolist(), (seed, name)
        assert logs[-1].pending.tolist() == whole.pending.tolist(), seed
        fills += len(whole.fills)
    assert fills > 300


def test_the_same_state_has_the_same_bytes_however_it_came_about() -> None:
    for seed in SEEDS:
        market, execution = market_of(seed)
        account = Account(execution, market.lots)
        account.advance(rows_of(market, execution))
        assert canonical_json(account.state()) == stepped(market, execution, 1)[1] == stepped(market, execution, 5)[1]


def test_a_full_buffer_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    market, execution = max(map(market_of, SEEDS), key=lambda pair: len(simulate(*pair).fills))
    whole = simulate(market, execution)
    monkeypatch.setattr("plugins.engines.account.account.ROOM", 0)
    again = simulate(market, execution)
    assert len(whole.fills) > 3 * 2 * len(market.symbols)
    assert again.fills.tolist() == whole.fills.tolist()
    assert again.cuts.tolist() == whole.cuts.tolist()


def test_a_state_of_another_layout_or_other_symbols_is_one_line() -> None:
    account = Account(Execution(), np.ones(2))
    with pytest.raises(ConfigurationError, match="layout None with 0 symbols cannot be used here") as told:
        account.restore({})
    assert "\n" not in str(told.value)
    with pytest.raises(ConfigurationError, match="with 1 symbols cannot"):
        account.restore(Account(Execution(), np.ones(1)).state())


def test_measured_is_what_run_says() -> None:
    """A sweep takes metrics and equity without the tables; they are the same to the last bit."""
    for seed in SEEDS:
        case = scenario(seed)
        engine: Any = engine_registry.create("ledger", **case.rules)
        done = engine.run(case.prices, case.signals)
        signals = case.signals.reset_index()
        signals["time"] = signals["time"].dt.as_unit("ms").astype("int64")
        periods = done["metrics"]["periods_per_year"]
        metrics, equity = engine.measure(prepare_bars(case.prices), signals, periods)
        assert metrics == done["metrics"], seed
        assert equity.tolist() == done["equity_curve"]["equity"].tolist(), seed
