"""The contract of a backtest engine."""

from typing import Any

import pandas as pd

from plugins.base.plugin import Plugin


class BaseBacktestEngine(Plugin):
    """Turns prices and signals into trades and equity, by the execution contract."""

    def __init__(self, **config: Any) -> None:
        super().__init__(**config)
        self.config = self.params

    @classmethod
    def class_fault(cls) -> str | None:
        if cls.run is BaseBacktestEngine.run:
            return "it does not override `run`; define run(self, prices, signals)"
        return super().class_fault()

    def run(self, prices: pd.DataFrame, signals: pd.DataFrame) -> dict[str, Any]:
        """Trades, equity and metrics of `signals` on `prices`.

        Parameters
        ----------
        prices
            open, close; high, low and volume if there are any. Index: the bars' close times (one symbol), or (time,
            symbol).
        signals
            `signal` (BUY, SELL, FLAT, HOLD or a number), or `weight`, which is used as it is where the column is
            there (NaN: keep). The same kind of index; each signal on a bar.

        Returns
        -------
        dict
            At least trades, equity_curve and metrics. The engines that ship also return fills, positions, cuts and
            pending: see `plugins.engines.results.frames` and `plugins.engines.results.metrics`.

        Raises
        ------
        ConfigurationError
            Frames that cannot be used: one line with the place and the mend.
        PluginError
            The engine's library is not installed, or refused an order.
        """
        raise NotImplementedError
