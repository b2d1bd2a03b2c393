"""Which part of a backtest its model had seen when it was trained."""

import numpy as np
import pandas as pd

from plugins.models.artifacts.manifest import TrainedOn, read_manifest
from schemas.configuration import Strategy


def told_in_sample(strategy: Strategy, signals: pd.DataFrame) -> list[str]:
    """A line when the model of `strategy` was trained on bars that `signals` (column ``time``, ms) are not later than.

    Raises `ArtifactError` when the artifact cannot be read.
    """
    if strategy.model is None:
        return []
    trained = read_manifest(strategy.model.artifact).training
    return in_sample(trained, signals["time"].to_numpy(np.int64))


def in_sample(trained: TrainedOn, times: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> list[str]:
    """One line, or none when all `times` (ms) come after the last bar of the training.

    What lies before its first bar is in sample, too: the model knows what came later. The bars just behind the last
    one, whose prices the targets reach into, are not counted.
    """
    distinct = np.unique(times)
    seen = int((distinct <= trained.last_time).sum())
    if not seen:
        return []
    last = pd.Timestamp(trained.last_time, unit="ms", tz="UTC").isoformat()
    every = seen == len(distinct)
    share = "All" if every else f"{seen:,} of the {len(distinct):,}"
    mend = "train on earlier bars" if every else "trade later ones alone with --from"
    return [
        f"{share} bar times are in sample: the model was trained on bars up to {last}, so it knows how they went on;"
        f" {mend} to see what it is worth."
    ]
