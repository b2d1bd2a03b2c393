"""The execution contract as tiny cases, computed by hand: prices, signals, and the equity after each bar.

Capital is 1000, a lot is one share, and nothing costs anything unless the case says so.
"""

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

Bars = dict[str, list[float | None]]
"""For each symbol its opens or closes; None: it has no bar then."""


@dataclass(frozen=True)
class Case:
    """`signals` are by symbol and bar (None: none); `equity` is what the contract makes of them."""

    rule: str
    opens: Bars
    closes: Bars
    signals: dict[str, list[str | float | None]]
    equity: list[float]
    config: dict[str, Any] = field(default_factory=dict)
    volume: dict[str, list[float]] = field(default_factory=dict)
    weights: bool = False
    """The signals are target weights."""

    def settings(self) -> dict[str, Any]:
        return {"capital": 1000.0, "lot": 1.0, "commission": 0.0, "slippage": 0.0} | self.config

    def prices(self) -> pd.DataFrame:
        rows = [
            (time, symbol, opened, close, self.volume.get(symbol, [100.0] * 9)[bar])
            for symbol in self.opens
            for bar, (time, opened, close) in enumerate(
                zip(self.times(), self.opens[symbol], self.closes[symbol], strict=True)
            )
            if close is not None
        ]
        table = pd.DataFrame(rows, columns=["time", "symbol", "open", "close", "volume"])
        table["high"], table["low"] = table[["open", "close"]].max(axis=1), table[["open", "close"]].min(axis=1)
        return table.set_index(["time", "symbol"]).sort_index().astype(float)

    def decided(self) -> pd.DataFrame:
        rows = [
            (time, symbol, value)
            for symbol, values in self.signals.items()
            for time, value in zip(self.times(), values, strict=True)
            if value is not None
        ]
        name = "weight" if self.weights else "signal"
        return pd.DataFrame(rows, columns=["time", "symbol", name]).set_index(["time", "symbol"]).sort_index()

    def times(self) -> pd.DatetimeIndex:
        bars = len(next(iter(self.closes.values())))
        return pd.date_range("2024-01-02", periods=bars, freq="D", tz="UTC").as_unit("ms")


CASES = (
    # 1000/10 = 100 shares at 10; 100*11; 100*12
    Case("a signal is filled at the next open",
         {"A": [10, 10, 11]}, {"A": [10, 11, 12]}, {"A": ["BUY", None, None]}, [1000, 1100, 1200]),
    # 50 shares at 10*1.02 = 510, commission 5.1: cash 484.9
    Case("slippage worsens the fill, commission is on the notional",
         {"A": [10, 10, 11]}, {"A": [10, 11, 12]}, {"A": ["BUY", None, None]}, [1000, 1034.9, 1084.9],
         {"commission": 0.01, "slippage": 0.02, "weight": 0.5}),
    # short 50 at 10*0.98 = 490, commission 4.9: cash 1485.1; minus 50*9
    Case("a sale is filled below the open",
         {"A": [10, 10]}, {"A": [10, 9]}, {"A": ["SELL", None]}, [1000, 1035.1],
         {"commission": 0.01, "slippage": 0.02, "weight": 0.5}),
    # 100 shares from 10 to 15
    Case("HOLD keeps, FLAT closes",
         {"A": [10, 10, 12, 15]}, {"A": [10, 11, 13, 20]}, {"A": ["BUY", "HOLD", "FLAT", None]},
         [1000, 1100, 1300, 1500]),
    # 50 shares; at 1050 the target is -0.5*1050/11 = -47: sell 97 at 11, cash 1567
    Case("SELL after BUY turns the position round, sized by equity and close at the decision",
         {"A": [10, 10, 11, 9]}, {"A": [10, 11, 11, 8]}, {"A": ["BUY", "SELL", None, None]},
         [1000, 1050, 1050, 1191], {"weight": 0.5}),
    Case("long_only makes SELL a weight of 0",
         {"A": [10, 10, 9]}, {"A": [10, 9, 8]}, {"A": ["SELL", None, None]}, [1000, 1000, 1000], {"long_only": True}),
    # 50 shares at 12, not at 10
    Case("a bar without volume fills nothing, the order waits",
         {"A": [10, 10, 12]}, {"A": [10, 11, 13]}, {"A": ["BUY", None, None]}, [1000, 1000, 1050],
         {"weight": 0.5}, {"A": [100, 0, 100]}),
    Case("an order waits for its symbol's next bar",
         {"A": [10, None, 12], "B": [5, 5, 5]}, {"A": [10, None, 13], "B": [5, 5, 5]},
         {"A": ["BUY", None, None]}, [1000, 1000, 1050], {"weight": 0.5}),
    Case("the last signal of the data is not filled",
         {"A": [10, 10]}, {"A": [10, 20]}, {"A": [None, "BUY"]}, [1000, 1000]),
    # Z's 100 shares are sold before A's 50 are bought at 20
    Case("what reduces a position fills before what opens one",
         {"A": [20, 20, 20], "Z": [10, 10, 10]}, {"A": [20, 20, 25], "Z": [10, 10, 10]},
         {"A": [None, "BUY", None], "Z": ["BUY", "FLAT", None]}, [1000, 1000, 1250]),
    # 80 of A take 800, the 80 of B are cut to 20
    Case("what cash cannot cover is cut at the fill",
         {"A": [10, 10], "B": [10, 10]}, {"A": [10, 11], "B": [10, 12]},
         {"A": ["BUY", None], "B": ["BUY", None]}, [1000, 1120], {"weight": 0.8}),
    # 200 shares at 10 on twice the equity: cash -1000
    Case("leverage lets more be held than there is cash",
         {"A": [10, 10]}, {"A": [10, 11]}, {"A": ["BUY", None]}, [1000, 1200], {"weight": 2.0, "leverage": 2.0}),
    # 0.25*1000/10 = 25 shares
    Case("a number is a share of the weight",
         {"A": [10, 10]}, {"A": [10, 12]}, {"A": [0.25, None]}, [1000, 1050]),
    # 500 + 50*14; ordering again at 1100 would leave 45 shares and 1190
    Case("only a changed target orders",
         {"A": [10, 10, 12]}, {"A": [10, 12, 14]}, {"A": ["BUY", "BUY", None]}, [1000, 1100, 1200], {"weight": 0.5}),
    # 333 shares at 3, cash 1
    Case("orders are whole lots",
         {"A": [3, 3]}, {"A": [3, 4]}, {"A": ["BUY", None]}, [1000, 1333]),
    # 30 shares, whatever execution.weight says
    Case("a weight that is given is used as it is",
         {"A": [10, 10]}, {"A": [10, 20]}, {"A": [0.3, None]}, [1000, 1300], {"weight": 0.1}, weights=True),
    # 60 shares at 12, cash 280
    Case("next_close can be chosen",
         {"A": [10, 11, 12]}, {"A": [10, 12, 15]}, {"A": ["BUY", None, None]}, [1000, 1000, 1180],
         {"price": "next_close", "weight": 0.6}),
)  # fmt: skip
