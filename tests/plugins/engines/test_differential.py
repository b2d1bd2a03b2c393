"""The engine against the ledger in exact fractions, over seeded scenarios: the same fills, the same money to 1e-8."""

from collections import Counter

import numpy as np
import pytest
from ledger import Ledger
from scenarios import scenario

from plugins.engines import engine_registry

pytest.importorskip("backtrader", reason="the engine's library is not installed: pip install 'alphawire[backtest]'")

SEEDS = range(60)


@pytest.mark.parametrize("seed", SEEDS)
def test_engine_equals_ledger(seed: int) -> None:
    case = scenario(seed)
    book = Ledger(case.prices, case.signals, case.rules).run()
    done = engine_registry.create("backtrader", **case.rules).run(case.prices, case.signals)
    lot, capital = case.rules["lot"], case.rules["capital"]
    fills, cuts, pending = done["fills"], done["cuts"], done["pending"]
    assert [(fill.bar, fill.symbol, fill.part, round(fill.size / lot)) for fill in fills.itertuples()] == [
        (fill.bar, fill.symbol, fill.part, fill.lots) for fill in book.fills
    ]
    assert [
        (cut.bar, cut.symbol, cut.part, round(cut.wanted / lot), round(cut.filled / lot)) for cut in cuts.itertuples()
    ] == book.cuts
    assert [
        (order.symbol, order.signal_time, round(order.size / lot)) for order in pending.itertuples()
    ] == book.pending
    np.testing.assert_allclose(fills["price"], [float(fill.price) for fill in book.fills], rtol=1e-12)
    scale = np.maximum(capital, np.abs([float(equity) for equity in book.equity]))
    assert np.all(np.abs(done["equity_curve"]["equity"] - [float(equity) for equity in book.equity]) <= 1e-8 * scale)
    assert np.all(np.abs(done["equity_curve"]["cash"] - [float(cash) for cash in book.cash]) <= 1e-8 * scale)
    lots = [[positions.get(symbol, 0) for symbol in done["positions"].columns] for positions in book.positions]
    assert np.array_equal((done["positions"] / lot).round(), lots)


def test_scenarios_cover_what_they_should() -> None:
    """Fills, cuts, both parts, shorts, waiting orders: a comparison of nothing would be green too."""
    seen: Counter[str] = Counter()
    for seed in SEEDS:
        case = scenario(seed)
        book = Ledger(case.prices, case.signals, case.rules).run()
        seen["fills"] += len(book.fills)
        seen["cuts of what opens"] += sum(cut[2] == "open" for cut in book.cuts)
        seen["cuts of what reduces"] += sum(cut[2] == "reduce" for cut in book.cuts)
        seen["short"] += any(lots < 0 for held in book.positions for lots in held.values())
        seen["pending"] += len(book.pending)
        seen["equity gone"] += any(equity <= 0 for equity in book.equity)
        seen[case.rules["price"]] += 1
    assert seen["fills"] > 1500
    assert min(seen.values()) >= 5, seen
    assert set(seen) >= {"next_open", "next_close", "this_close", "cuts of what reduces", "equity gone"}
