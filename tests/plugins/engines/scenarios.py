"""Seeded random markets and all that goes wrong: gaps, late starts, halts, splits, no volume, tiny and huge prices."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

Floats = np.ndarray[Any, np.dtype[np.float64]]

NAMES = ("AAA", "BBB", "CCC", "DDD", "EEE")


@dataclass(frozen=True)
class Scenario:
    """One market with its signals; `rules` are fields of `execution`."""

    seed: int
    prices: pd.DataFrame
    signals: pd.DataFrame
    rules: dict[str, Any]

    def lot(self, symbol: str) -> float:
        lots = self.rules["lot"]
        return float(lots.get(symbol, lots["default"]) if isinstance(lots, dict) else lots)


def scenario(seed: int) -> Scenario:
    """The same seed gives the same scenario, for ever."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(8, 45))
    times = pd.date_range("2024-01-02 14:31", periods=count, freq="1min", tz="UTC")
    lot = float(rng.choice([1e-4, 0.01, 1.0]))
    frames = [_bars(rng, name, times, lot) for name in NAMES[: int(rng.integers(1, 6))]]
    prices = pd.concat(frames).set_index("symbol", append=True).sort_index()
    if rng.random() < 0.1:
        prices["volume"] = 0.0
    rules = _rules(rng, lot)
    signals = _signals(rng, prices)
    _by_symbol(np.random.default_rng([seed, 1]), prices, rules)
    return Scenario(seed, prices, signals, rules)


def _by_symbol(rng: np.random.Generator, prices: pd.DataFrame, rules: dict[str, Any]) -> None:
    """In some scenarios one symbol has no volume at all, and lots differ by symbol, up to ones that buy nothing."""
    symbols = prices.index.get_level_values("symbol")
    if rng.random() < 0.2:
        prices.loc[symbols == rng.choice(symbols), "volume"] = 0.0
    if rng.random() < 0.3:
        lots = {name: rules["lot"] * float(rng.choice([1.0, 10.0, 1e7])) for name in symbols.unique()[::2]}
        rules["lot"] = {"default": rules["lot"], **lots}


def _bars(rng: np.random.Generator, name: str, times: pd.DatetimeIndex, lot: float) -> pd.DataFrame:
    """One symbol's bars: a random walk with jumps and perhaps a split, on those of the times that it has."""
    count = len(times)
    opens, closes = _path(rng, count, lot)
    volume = np.where(rng.random(count) < 0.1, 0.0, rng.integers(1, 1000, count))
    if rng.random() < 0.2:
        _split(rng, opens, closes, volume)
    frame = pd.DataFrame({
        "symbol": name, "open": opens, "high": np.maximum(opens, closes), "low": np.minimum(opens, closes),
        "close": closes, "volume": volume,
    }, index=times.rename("time"))  # fmt: skip
    return frame[_present(rng, count)]


def _path(rng: np.random.Generator, count: int, lot: float) -> tuple[Floats, Floats]:
    """Opens and closes; some scenarios in whole numbers, where ties and exact fits happen."""
    starts = {1.0: [2e-3, 0.9, 100.0, 4000.0], 0.01: [0.2, 15.0, 4000.0, 6e5], 1e-4: [15.0, 100.0, 4000.0, 3e7]}[lot]
    start = float(rng.choice(starts))
    steps = rng.normal(0.0, float(rng.choice([0.0, 0.003, 0.05])), 2 * count)
    jumps = rng.random(2 * count) < 0.02
    steps[jumps] = np.log(rng.choice([0.3, 0.5, 2.0, 4.0], jumps.sum()))
    path = start * np.exp(np.cumsum(steps).clip(-1.5, 3.0))
    if rng.random() < 0.3 and start > 10.0:
        path = np.maximum(path.round(), 1.0)
    return path[0::2].copy(), path[1::2].copy()


def _split(rng: np.random.Generator, opens: Floats, closes: Floats, volume: Floats) -> None:
    """From some bar on one share is two or three, and the data does not adjust what was before."""
    first, parts = int(rng.integers(1, len(opens))), float(rng.choice([2.0, 3.0]))
    opens[first:] /= parts
    closes[first:] /= parts
    volume[first:] *= parts


def _present(rng: np.random.Generator, count: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """On which bars it trades: a late start, an early end, gaps here and there, perhaps a halt."""
    first, last = int(rng.integers(0, count // 3)), int(rng.integers(2 * count // 3, count))
    bars = np.arange(count)
    here = (rng.random(count) >= float(rng.choice([0.0, 0.15, 0.4]))) & (bars >= first) & (bars <= last)
    if rng.random() < 0.3:
        halt = int(rng.integers(first, last))
        here[halt : halt + count // 4] = False
    here[(first + last) // 2] = True
    return here


def _signals(rng: np.random.Generator, prices: pd.DataFrame) -> pd.DataFrame:
    index = prices.index[rng.random(len(prices)) < float(rng.choice([0.2, 0.6, 1.0]))]
    kind = rng.integers(0, 3)
    if kind == 0:
        return pd.DataFrame(
            {"signal": rng.choice(np.array(["BUY", "SELL", "HOLD", "FLAT"], object), len(index))}, index=index
        )
    sizes = rng.choice([-1.0, -0.5, -0.2, 0.0, 0.1, 0.35, 0.5, 1.0], len(index))
    sizes[rng.random(len(index)) < 0.2] = np.nan
    return pd.DataFrame({"signal" if kind == 1 else "weight": sizes}, index=index)


def _rules(rng: np.random.Generator, lot: float) -> dict[str, Any]:
    price = str(rng.choice(["next_open", "next_open", "next_close", "this_close"]))
    return {
        "price": price,
        "i_know_this_looks_ahead": price == "this_close",
        "commission": float(rng.choice([0.0, 0.0005, 0.02])),
        "slippage": float(rng.choice([0.0, 0.0005, 0.01])),
        "capital": float(rng.choice([1000.0, 100_000.0])) if lot < 1.0 else 100_000.0,
        "weight": float(rng.choice([0.1, 0.5, 1.0, 1.7])),
        "lot": lot,
        "leverage": float(rng.choice([1.0, 1.0, 2.0, 0.6])),
        "long_only": bool(rng.random() < 0.2),
        "rebalance": str(rng.choice(["on_change", "always"])),
    }
