"""Which of the accepted bars are asked for, and what of their values is anybody's: against plain Python."""

import numpy as np
import pytest

from plugins.base.streaming import trial_bars
from plugins.models import BaseModel
from plugins.pipeline.accepted_bars import AcceptedBars, Asked, FeatureRows, Least

COUNT = 12


def feature_rows(least: Least) -> FeatureRows:
    """Bars of two symbols at offsets 40, 43, …; each symbol's bars are numbered from 3."""
    slots = np.arange(COUNT) % 2
    bars = AcceptedBars(trial_bars(COUNT), slots, 40 + 3 * np.arange(COUNT), np.zeros(COUNT, np.int64), ["A", "B"])
    return FeatureRows(bars, np.arange(2.0 * COUNT).reshape(COUNT, 2), 3 + np.arange(COUNT) // 2, least)


@pytest.mark.parametrize("offset", [0, 39, 40, 41, 55, 73, 74])
@pytest.mark.parametrize("after", [-60_000, 0, 60_000, 150_000, 10**9])
@pytest.mark.parametrize("below", [0, 1, 10**12], ids=["least", "a bound", "no bound"])
def test_bars_since_an_offset_and_a_time(offset: int, after: int, below: int) -> None:
    times = trial_bars(COUNT)["time"].tolist()
    rows, time = feature_rows(Least(3, times[0] - below)), times[0] + after
    wanted = [row for row in range(COUNT) if 40 + 3 * row >= offset and times[row] >= time]
    assert rows.since(offset, time).tolist() == wanted


@pytest.mark.parametrize("least", [0, 3])
def test_warm_bars_are_those_after_the_warm_up(least: int) -> None:
    rows = feature_rows(Least(least, 0))
    for warmup in range(10):
        wanted = [row for row in (1, 4, 5, 11) if 3 + row // 2 > warmup]
        assert rows.warm(np.array([1, 4, 5, 11]), warmup).tolist() == wanted


def test_values_are_copies() -> None:
    rows = feature_rows(Least(3, 0))
    for chosen in (rows.rows, np.array([2, 5])):
        values = rows.values_at(chosen)
        assert values.tolist() == [[2.0 * row, 2.0 * row + 1] for row in chosen]
        values[:] = -1.0
    assert rows.values.min() == 0.0


class Model(BaseModel):
    pass


def test_an_answer_is_kept_for_the_same_question_alone() -> None:
    rows, model, before = feature_rows(Least(3, 0)), object.__new__(Model), object()
    asked = Asked(model, ["a", "b"], before, np.array([1, 2]))
    answer = np.array([0.5, 0.25])
    rows.note(asked, answer)
    assert rows.answer_to(asked) is answer
    assert rows.answer_to(Asked(model, ["a", "b"], before, np.array([1, 2]))) is answer
    for other in (
        Asked(object.__new__(Model), ["a", "b"], before, asked.rows), Asked(model, ["b", "a"], before, asked.rows),
        Asked(model, ["a"], before, asked.rows), Asked(model, ["a", "b"], object(), asked.rows),
        Asked(model, ["a", "b"], before, np.array([1, 3])),
        Asked(model, ["a", "b"], before, np.array([1])),
    ):  # fmt: skip
        assert rows.answer_to(other) is None
