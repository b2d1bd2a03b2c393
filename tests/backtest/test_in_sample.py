"""A backtest over bars that its model was trained on says so."""

import numpy as np
import pytest

from backtest.engines.in_sample import in_sample
from plugins.models.artifacts.manifest import TrainedOn

DAY = 86_400_000
TRAINED = TrainedOn(
    interval="1d", symbols=["A"], target="forward_return", horizon_bars=5, first_time=3 * DAY, last_time=10 * DAY,
    rows=8, data_sha256="0" * 64,
)  # fmt: skip


@pytest.mark.parametrize(
    ("days", "begin"),
    [
        (range(11, 20), None),
        (range(10, 20), "1 of the 10 bar times are in sample: the model was trained on bars up to 1970-01-11T00:00:00"),
        (range(1, 21), "10 of the 20 bar times are in sample"),
        (range(3, 11), "All bar times are in sample"),
        ([], None),
    ],
)
def test_bars_that_the_model_knew_are_told(days: "range | list[int]", begin: str | None) -> None:
    """Each time counts once, however many symbols it has."""
    times = np.repeat(np.array(days, np.int64), 3) * DAY
    told = in_sample(TRAINED, times)
    assert [text[: len(begin or "")] for text in told] == ([begin] if begin else [])
