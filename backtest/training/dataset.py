"""The rows that a training sees, as a file for other tools, with a manifest of what they were made of."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from backtest.sources.news import NewsOf
from backtest.training.samples import Samples, data_sha256, make_samples, select
from backtest.training.splits import hold_out
from schemas.atomic import atomic_write
from schemas.configuration import Config
from schemas.errors import ConfigurationError
from schemas.wire import encode

TARGET, KNOWN, SPLIT = "target", "target_known", "split"


@dataclass(frozen=True)
class Dataset:
    """Rows in time order, then by symbol, and what describes them.

    Attributes
    ----------
    rows
        symbol, time (the bar's close, UTC), the feature columns (float64), ``target``, ``target_known`` (when the
        target is known, UTC) and ``split``: train, purged (its target reaches into the holdout) or holdout.
    manifest
        What is written beside them as JSON.
    """

    rows: pd.DataFrame
    manifest: dict[str, Any]


def dataset(
    name: str,
    config: Config,
    bars: pd.DataFrame,
    *,
    start: int | None = None,
    end: int | None = None,
    holdout: float | None = None,
    news: NewsOf | None = None,
) -> Dataset:
    """What `backtest.training.train` would be given, with the same arguments.

    Raises
    ------
    ConfigurationError
        Where there is no row, or a feature has the name of one of the other columns.
    """
    strategy = config.strategy(name)
    chosen = select(name, strategy, bars, end)
    samples = make_samples(name, strategy, chosen, start, news)
    if not len(samples.y):
        raise ConfigurationError(f"strategies.{name}: these bars give no row; {_dropped(samples)}")
    if taken := {"symbol", "time", TARGET, KNOWN, SPLIT} & set(samples.X.columns):
        raise ConfigurationError(
            f"strategies.{name}: a feature's column is called {', '.join(sorted(taken))}, as one of the dataset's own;"
            " give the feature an alias"
        )
    rows = samples.X.reset_index()
    rows[TARGET] = samples.y.to_numpy()
    rows[KNOWN] = pd.to_datetime(samples.known.to_numpy(), unit="ms", utc=True)
    rows[SPLIT] = _split(samples, holdout, strategy.training.embargo_bars)
    splits = rows[SPLIT].value_counts()
    manifest = {
        "strategy": name,
        "interval": strategy.interval,
        "features": [str(column) for column in samples.X.columns],
        "training": strategy.training.model_dump(mode="json"),
        "holdout": holdout,
        "rows": {split: int(splits.get(split, 0)) for split in ("train", "purged", "holdout")},
        "dropped": samples.dropped,
        "symbols": samples.names,
        "first_time": int(samples.times[0]),
        "last_time": int(samples.times[-1]),
        "data_sha256": data_sha256(chosen),
    }
    return Dataset(rows, manifest)


def write_dataset(made: Dataset, out: Path) -> Path:
    """Writes the rows as Parquet and the manifest beside them, as ``NAME.json``, whose path is returned."""
    beside = manifest_path(out)
    try:
        with atomic_write(out) as aside:
            made.rows.to_parquet(aside, index=False)
        with atomic_write(beside) as aside:
            aside.write_bytes(encode(made.manifest))
    except OSError as error:
        raise ConfigurationError(f"{out} cannot be written: {error.strerror or error}") from None
    return beside


def manifest_path(out: Path) -> Path:
    """Of the dataset `out`, whose name must end in .parquet."""
    if out.suffix != ".parquet":
        raise ConfigurationError(f"{out}: a dataset is a Parquet file; call it {out.with_suffix('.parquet').name}")
    return out.with_suffix(".json")


def _split(samples: Samples, holdout: float | None, embargo: int) -> Any:
    if holdout is None:
        return np.full(len(samples.y), "train", dtype=object)
    split = hold_out(samples, holdout, embargo)
    return np.select([split.train, split.test], ["train", "holdout"], "purged")


def _dropped(samples: Samples) -> str:
    return ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in samples.dropped.items())
