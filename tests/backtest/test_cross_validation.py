"""Cross-validation: every fold is a training of its own, and the paths are made of their predictions."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from backtest.training import cross_validate
from backtest.training.outcome.picture import page
from backtest.training.samples import Samples
from plugins.base import BaseModel
from plugins.base.loading.discovery import discover
from plugins.models import model_registry
from schemas.configuration import Config
from schemas.errors import ConfigurationError
from streams.ingest.bar_files import read_bars
from tests.support.registries import untouched_registries

EXAMPLES = Path(__file__).parents[2] / "examples"
BARS = EXAMPLES / "data" / "equities_daily.parquet"
RIDGE = EXAMPLES / "plugins" / "ridge.py"


def config(**change: Any) -> Config:
    strategy = {
        "interval": "1d", "universe": ["AAPL", "JNJ", "XOM"],
        "features": [{"technical.rsi": {"period": 5}}, {"statistical.momentum": {"window": 5}}],
        "model": {"key": "ml.lightgbm", "artifact": "x", "params": {"n_estimators": 10}},
        "training": {"horizon_bars": 3}, "signal": "signal.threshold",
    }  # fmt: skip
    return Config.model_validate({"strategies": {"s": strategy | change}})


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    return read_bars([str(BARS)], "1d")


@pytest.mark.parametrize(("method", "count"), [("walk-forward", 4), ("rolling", 4), ("cpcv", 6)])
def test_folds(data: pd.DataFrame, method: Any, count: int) -> None:
    told: list[int] = []
    done = cross_validate("s", config(), data, method, folds=4, tested=2, progress=told.append)
    assert len(done.folds) == len(told) == count
    assert [fold.groups for fold in done.folds][:2] == ([(0, 1), (0, 2)] if method == "cpcv" else [(0,), (1,)])
    assert len(done.paths) == (3 if method == "cpcv" else 0)
    rows = [fold.train_rows for fold in done.folds]
    if method == "walk-forward":
        assert rows == sorted(rows)
    if method == "rolling":
        assert max(rows) - min(rows) <= 6
    if done.pooled is not None:
        assert done.pooled.rows == sum(fold.test.rows for fold in done.folds)
    assert all(fold.ic.low < fold.ic.value < fold.ic.high for fold in done.folds)
    assert done.folds[0].ic.value == pytest.approx(done.folds[0].test.ic)
    html = page("s", done, [("IC", "0.1 <1>"), ("verdict", "so & so")])
    assert html.count('class="range"') == count
    assert html.index("IC lost") > html.index(">R²<") > html.index("<svg")
    if done.pooled:
        assert html.index("verdict: so &amp; so") < html.index("IC: 0.1 &lt;1&gt;") < html.index("<svg")
    else:
        assert f" of {len(done.paths)} paths have an information coefficient above 0." in html
    assert html.count('class="path"') == len(done.paths)
    assert "http" not in html


class Counting(BaseModel):
    """Predicts how many trainings there were before its own, times the first feature."""

    trainings = 0

    def train(self, X: pd.DataFrame, y: "pd.Series[float]") -> None:  # noqa: N803
        self.number = Counting.trainings
        Counting.trainings += 1

    def predict(self, X: pd.DataFrame) -> "pd.Series[float]":  # noqa: N803
        return X["momentum"] * (1.0 if self.number % 2 else -1.0) * (self.number + 1)


def test_a_path_is_every_row_once_by_a_model_that_did_not_see_it(
    data: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three groups, two tested: splits (0,1), (0,2), (1,2); two paths, whose predictions are put together by hand."""
    import backtest.training.cross_validation as module

    seen: list[Samples] = []
    make = module.make_samples
    monkeypatch.setattr(module, "make_samples", lambda *given: seen.append(make(*given)) or seen[0])
    monkeypatch.setattr(Counting, "trainings", 0)
    with untouched_registries():
        model_registry.register("test.counting")(Counting)
        given = config(model={"key": "test.counting", "artifact": "x"})
        done = cross_validate("s", given, data, "cpcv", folds=3, tested=2)
    samples = seen[0]
    times = np.unique(samples.times)
    group = np.searchsorted([part[-1] for part in np.array_split(times, 3)], samples.times)
    momentum, factor = samples.X["momentum"].to_numpy(), np.array([-1.0, 2.0, -3.0])
    for path, scores in zip([[0, 0, 1], [1, 2, 2]], done.paths, strict=True):
        wanted = spearmanr(momentum * factor[np.array(path)[group]], samples.y).statistic
        assert scores.rows == len(samples.y)
        assert scores.ic == pytest.approx(wanted, abs=1e-12)
    shuffled = np.random.default_rng(1).permutation(momentum)
    for fold, sign in zip(done.folds, np.sign(factor), strict=True):
        test = np.isin(group, fold.groups)
        lost = [sign * spearmanr(values[test], samples.y[test]).statistic for values in (momentum, shuffled)]
        assert fold.importance == {"rsi": 0.0, "momentum": pytest.approx(lost[0] - lost[1], abs=1e-12)}


class Stopping(BaseModel):
    """Remembers what it was trained and checked on."""

    seen: tuple[pd.DataFrame, pd.DataFrame] | None = None

    def train(self, X: pd.DataFrame, y: "pd.Series[float]") -> None:  # noqa: N803
        Stopping.seen = None

    def train_with_validation(
        self, X: pd.DataFrame, y: "pd.Series[float]", X_valid: pd.DataFrame, y_valid: "pd.Series[float]"  # noqa: N803
    ) -> None:  # fmt: skip
        Stopping.seen = (X, X_valid)

    def predict(self, X: pd.DataFrame) -> "pd.Series[float]":  # noqa: N803
        return X["momentum"]


def test_early_stopping_goes_by_the_latest_training_rows_never_by_the_test_rows(data: pd.DataFrame) -> None:
    from backtest.training.fitting import fit
    from backtest.training.samples import make_samples
    from backtest.training.splits import hold_out

    with untouched_registries():
        model_registry.register("test.stopping")(Stopping)
        for params, asked in (({}, False), ({"early_stopping_rounds": 5}, True)):
            strategy = config(model={"key": "test.stopping", "artifact": "x", "params": params}).strategies["s"]
            samples = make_samples("s", strategy, data)
            split = hold_out(samples, 0.25, 0)
            kept = samples.where(split.train)
            fit("s", strategy, kept)
            assert (Stopping.seen is not None) == asked
    learned, checked = Stopping.seen
    assert len(checked) == pytest.approx(0.2 * len(kept.y), abs=4)
    assert checked.index.equals(kept.X.index[-len(checked) :])
    first = checked.index.get_level_values(1)[0]
    late = kept.known[learned.index]
    assert late.max() < first.timestamp() * 1000
    assert len(learned) + len(checked) + 3 * 3 == len(kept.y)  # three symbols; a target reaches 3 bars into the checked


def test_a_model_that_cannot_stop_early_is_not_asked_to_in_silence(data: pd.DataFrame) -> None:
    from backtest.training.fitting import fit
    from backtest.training.samples import make_samples

    class Deaf(BaseModel):
        def predict(self, X: pd.DataFrame) -> "pd.Series[float]":  # noqa: N803
            return X["momentum"]

    with untouched_registries():
        model_registry.register("test.deaf")(Deaf)
        model = {"key": "test.deaf", "artifact": "x", "params": {"early_stopping_rounds": 5}}
        strategy = config(model=model).strategies["s"]
        samples = make_samples("s", strategy, data)
        with pytest.raises(ConfigurationError, match=r"test.deaf cannot stop early .* leave out early_stopping_rounds"):
            fit("s", strategy, samples)


def test_mistakes(data: pd.DataFrame) -> None:
    with pytest.raises(ConfigurationError, match="2 test groups of 2: test at least 1 and fewer than there are"):
        cross_validate("s", config(), data, "cpcv", folds=2)
    with pytest.raises(ConfigurationError, match="there is nothing to train"):
        cross_validate("s", config(model=None, prediction="rsi"), data, "rolling")
    with pytest.raises(ConfigurationError, match=r"blocks of .* bar times: each needs at least 2"):
        cross_validate("s", config(), data, "rolling", folds=100, end=int(data["close_time"].iloc[400]))


@pytest.mark.slow
def test_processes_make_no_difference(data: pd.DataFrame) -> None:
    """The model comes from a file by ``--plugins``, which the other processes know nothing of."""
    with untouched_registries():
        discover([RIDGE])
        given = config(model={"key": "ml.ridge", "artifact": "x"}, universe=["AAPL"])
        one, two = (cross_validate("s", given, data, "cpcv", folds=4, jobs=jobs) for jobs in (1, 2))
    assert one == two
    assert [fold.groups for fold in two.folds] == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
