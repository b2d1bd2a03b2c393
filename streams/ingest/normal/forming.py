"""Bars that are still forming: a download in the middle of an hour has a bar of that hour, and it is not the last word.

Sent as it is, it would be taken for the whole bar, trade, and make the finished one a correction.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from schemas.errors import ConfigurationError

WORDS = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}
FORMING = "still forming (they close after now; --allow-unfinished sends them)"


def says_unclosed(path: Path, raw: pd.DataFrame, name: str | None) -> NDArray[np.bool_]:
    """Rows that the file itself, in its column `name`, says are still forming; `ConfigurationError` for what is neither
    true nor false.
    """
    if name is None:
        return np.zeros(len(raw), np.bool_)
    codes, distinct = pd.factorize(raw[name], use_na_sentinel=False)
    closed = np.array([_is_closed(path, name, value) for value in distinct], np.bool_)
    return ~closed[codes] if len(codes) else np.zeros(0, np.bool_)


def _is_closed(path: Path, name: str, value: Any) -> bool:
    known = WORDS.get(str(value).strip().lower())
    if known is None:
        raise ConfigurationError(f"{path}: column {name} holds {value!r}, which is neither true nor false")
    return known


def unfinished(frame: pd.DataFrame, clock: Callable[[], int]) -> NDArray[np.bool_]:
    """Bars that close after now; `clock` says now, in ms since the epoch."""
    return np.asarray(frame["close_time"].to_numpy() > clock(), np.bool_)
