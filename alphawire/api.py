"""The Python API: a strategy's features, predictions and signals for bars in a frame, by the pipeline that runs live.

``import alphawire as aw`` gives `load`; all else is a method of what it returns.

>>> import alphawire as aw
>>> strategies = aw.load("examples/alphawire.yaml")
>>> list(strategies)[:1]
['demo']
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from schemas.configuration import Config, Source
from schemas.configuration.loading import config_path, load_config, plugin_paths
from schemas.errors import ConfigurationError

if TYPE_CHECKING:
    import pandas as pd

    from backtest.explain.explain import Explanation
    from backtest.replay.replay import ReplayResult
    from backtest.training import Training
    from backtest.training.dataset import Dataset
    from backtest.training.run import Stage
    from streams.ingest.bar_files import Refused

Frame = Any
"""A frame of pandas, polars or pyarrow; what comes out is of the same kind."""
TIMES = ("time", "valid_until")


def unheard(text: str, done: int | None = None, total: int | None = None, /) -> None:
    """What is being done, told to nobody."""


def load(path: str | Path | None = None, plugins: Sequence[str | Path] = ()) -> "Strategies":
    """The strategies of a configuration.

    Parameters
    ----------
    path
        The YAML file; None: ``$ALPHAWIRE_CONFIG``, else ``alphawire.yaml`` in the current folder.
    plugins
        Plugin files, or folders of them, that are not installed, beside those that the configuration names.

    Raises
    ------
    ConfigurationError
        For a file that is not there, or that cannot be used.
    """
    from plugins.base.loading.discovery import discover

    file = config_path(str(path) if path is not None else None)
    config = load_config(file)
    discover([*plugin_paths(config, file), *plugins])
    return Strategies(config)


class Strategies(Mapping[str, "LoadedStrategy"]):
    """The strategies of a configuration, by name."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def __getitem__(self, name: str) -> "LoadedStrategy":
        if name not in self.config.strategies:
            raise KeyError(f"no strategy {name!r}; there is: {', '.join(self.config.strategies) or 'none'}")
        return LoadedStrategy(self.config, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.config.strategies)

    def __len__(self) -> int:
        return len(self.config.strategies)


class LoadedStrategy:
    """A strategy of a configuration, to be asked about bars.

    Bars are a frame with columns as files have them (docs/sources.md): a time, the **start** of the bar in UTC, or
    ``close_time``; ``symbol``; open, high, low, close, volume. With `source`, the name of a source of the
    configuration, columns mean what that says. Bars need not be in order.

    Results are frames of the same kind as the bars. Their ``time`` is the close of the bar, UTC. Equal bars give, to
    the last bit, what a worker publishes about them whose state begins at the first of them.
    """

    def __init__(self, config: Config, name: str) -> None:
        self.config = config
        self.name = name
        self.left_out: Refused | None = None
        """What of the last bars could not be used, and why; None before any."""

    def __repr__(self) -> str:
        return f"<strategy {self.name}, {self.config.strategy(self.name).interval}>"

    def features(self, bars: Frame, source: str | None = None) -> Frame:
        """The feature columns at each bar: symbol, time, and a float64 column for each, NaN where it has no value.

        Bars outside the universe and repeats have no row.
        """
        from plugins.pipeline.frames import feature_frame

        frame = feature_frame(self.name, self.config.strategy(self.name), self._bars(bars, source), warming_up=True)
        return _like(bars, frame.reset_index())

    def predictions(self, bars: Frame, source: str | None = None) -> Frame:
        """The model's prediction at each bar that a signal is about: symbol, time, prediction (NaN: none)."""
        return _like(bars, self._replayed(bars, source)[["symbol", "time", "prediction"]])

    def signals(self, bars: Frame, source: str | None = None) -> Frame:
        """The signals: symbol, time, signal, weight, prediction, reason, id, valid_until."""
        return _like(bars, self._replayed(bars, source))

    def train(
        self,
        bars: Frame,
        source: str | None = None,
        *,
        holdout: float | None = None,
        out: str | Path | None = None,
        stage: "Stage" = unheard,
    ) -> "Training":
        """Trains the model and writes its artifact, as ``alphawire train`` does (`backtest.training.train`).

        Parameters
        ----------
        holdout
            Fraction of the rows, the latest, that is kept out of the training and scored on.
        out
            The artifact's folder; None: ``model.artifact`` of the configuration.
        stage
            Called with what is being done.
        """
        from backtest.training import train

        return train(self.name, self.config, self._bars(bars, source), holdout=holdout, out=out, stage=stage)

    def dataset(self, bars: Frame, source: str | None = None, *, holdout: float | None = None) -> "Dataset":
        """The rows that a training sees: features, target, when that is known, and split, in pandas
        (`backtest.training.dataset`); ``alphawire features`` writes them to a file.
        """
        from backtest.training.dataset import dataset

        return dataset(self.name, self.config, self._bars(bars, source), holdout=holdout)

    def backtest(
        self,
        bars: Frame,
        source: str | None = None,
        *,
        engines: Sequence[str] = ("ledger",),
        out: str | Path | None = None,
    ) -> dict[str, dict[str, Any]]:
        """The signals through backtest engines.

        Returns
        -------
        dict
            Engine → ``trades``, ``equity_curve``, ``fills`` (pandas) and ``metrics``, and what else it gives.

        Parameters
        ----------
        out
            A folder for the report and the tables, as ``alphawire backtest --out`` writes; None: none is written.
        """
        from backtest.engines.backtest import run_backtest

        replayed = self._replay(bars, source)
        digest = replayed.raw[0].content.config_hash if replayed.raw else ""
        with TemporaryDirectory() as spare:
            return run_backtest(
                self.config.strategy(self.name), replayed.bars, replayed.signals, list(engines),
                Path(out) if out is not None else Path(spare) / "backtest",
                name=self.name, config_hash=digest, config=replayed.config,
            )  # fmt: skip

    def explain(self, identity: str, bars: Frame | None = None, source: str | None = None) -> "Explanation":
        """Where one signal came from: its bars, columns, prediction and rule, by its `id` (or what that begins with).

        Of `bars`, the signal that they lead to; without them, the one on the topic ``signals``, which is compared with
        what the log leads to.
        """
        from backtest.explain.explain import explain_frame, explain_many

        if bars is None:
            return explain_many(self.config, [identity])[0]
        return explain_frame(self._ready(), self._bars(bars, source), identity)

    def _ready(self) -> Any:
        from plugins.strategy.ready import ready_strategy

        return ready_strategy(self.name, self.config.strategy(self.name))

    def _bars(self, bars: Frame, source: str | None) -> "pd.DataFrame":
        """In the normal form of bars, as a file with these columns would be read."""
        from streams.ingest.bar_files import frame_bars, refused

        interval = self.config.strategy(self.name).interval
        normal = frame_bars(_pandas(bars), interval, self._source(source))
        self.left_out = refused(normal)
        if normal.empty:
            raise ConfigurationError(f"the frame holds no bar of {interval} that can be used: {self.left_out}")
        return normal

    def _source(self, name: str | None) -> Source:
        from backtest.sources.files import format_of

        return format_of(self.config, name)

    def _replay(self, bars: Frame, source: str | None) -> "ReplayResult":
        from backtest.replay.replay import replay_frame

        result = replay_frame(self._ready(), self._bars(bars, source))
        self.left_out = result.left_out
        return result

    def _replayed(self, bars: Frame, source: str | None) -> "pd.DataFrame":
        import pandas as pd

        signals = self._replay(bars, source).signals
        return signals.assign(**{name: pd.to_datetime(signals[name], unit="ms", utc=True) for name in TIMES})


def _pandas(bars: Frame) -> "pd.DataFrame":
    """As pandas' frame, an index that says something as columns."""
    import narwhals as nw
    import pandas as pd

    try:
        frame: pd.DataFrame = nw.from_native(bars, eager_only=True).to_pandas()
    except TypeError:
        raise ConfigurationError(
            f"bars are a {type(bars).__name__}; give a frame of pandas, polars or pyarrow"
        ) from None
    if isinstance(frame.index, pd.DatetimeIndex) and frame.index.name is None:
        frame = frame.rename_axis("time")
    named = [name for name in frame.index.names if name is not None]
    return frame.reset_index() if named else frame.reset_index(drop=True)


def _like(bars: Frame, frame: "pd.DataFrame") -> Frame:
    """`frame` as a frame of the kind of `bars`."""
    import narwhals as nw
    import pyarrow as pa

    kind = nw.from_native(bars, eager_only=True).implementation
    if kind.is_pandas():
        return frame
    return nw.from_arrow(pa.Table.from_pandas(frame, preserve_index=False), backend=kind).to_native()
