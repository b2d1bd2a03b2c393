"""The example plugins, loaded as a user would, against TA-Lib (`EMA`) and scikit-learn (`Ridge`)."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import talib
from sklearn.linear_model import Ridge

from plugins.base.bars import frame_from_bars
from plugins.base.loading import discovery
from plugins.base.streaming import trial_bars
from plugins.features import feature_registry
from plugins.models import model_registry
from schemas.errors import ArtifactError, PluginError
from tests.support.registries import untouched_registries

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", autouse=True)
def _examples():
    with untouched_registries():
        discovery.discover([ROOT / "examples" / "plugins"])
        assert discovery.faults == []
        yield


@pytest.fixture(scope="module")
def real_bars() -> list[pd.DataFrame]:
    data = pd.read_parquet(ROOT / "examples" / "data" / "equities_minute.parquet")
    return [bars.set_index("timestamp") for _, bars in data.groupby("symbol")]


@pytest.mark.parametrize(("fast", "slow"), [(12, 26), (2, 3)])
def test_ema_cross_equals_ta_lib(fast, slow, real_bars):
    for bars in real_bars:
        result = feature_registry.create("technical.ema_cross", fast=fast, slow=slow).compute(bars)
        closes = bars["close"].to_numpy()
        expected_fast, expected_slow = talib.EMA(closes, fast), talib.EMA(closes, slow)
        np.testing.assert_allclose(result["ema_fast"], expected_fast, rtol=1e-9)
        np.testing.assert_allclose(result["ema_slow"], expected_slow, rtol=1e-9)
        np.testing.assert_allclose(result["ema_cross"], expected_fast - expected_slow, rtol=0, atol=1e-9)
        assert list(result.columns) == ["ema_fast", "ema_slow", "ema_cross"]


def test_ema_cross_first_values_and_bytes():
    feature = feature_registry.create("technical.ema_cross")
    bars, slots = trial_bars(400), np.random.default_rng(2).integers(0, 3, 400)
    outs, plain = np.empty((400, 3)), np.empty((400, 3))
    feature.run(feature.new_states(3), slots, bars, outs)
    feature.run_plain(feature.new_states(3), slots, bars, plain)
    assert outs.tobytes() == plain.tobytes()
    first = np.argmin(np.isnan(feature.compute(frame_from_bars(bars)).to_numpy()), axis=0)
    assert first.tolist() == [11, 25, 25]
    assert feature.warmup == 25


def test_ema_cross_refuses_periods_out_of_order():
    with pytest.raises(PluginError, match=r"^technical\.ema_cross: .*fast must be less than slow"):
        feature_registry.create("technical.ema_cross", fast=26, slow=12)


@pytest.fixture
def rows() -> tuple[pd.DataFrame, pd.Series]:
    random = np.random.default_rng(4)
    X = pd.DataFrame(random.normal(0, 1, (200, 3)), columns=["rsi", "atr", "momentum"])  # noqa: N806
    y = X["rsi"] * 2 - X["momentum"] + random.normal(0, 0.1, 200)
    X.iloc[5, 1] = y.iloc[9] = np.nan
    return X, y


def test_ridge_equals_scikit_learn(rows):
    X, y = rows  # noqa: N806
    model = model_registry.create("ml.ridge", alpha=0.5).train(X, y)
    known = X.notna().all(axis=1) & y.notna()
    expected = Ridge(alpha=0.5).fit(X[known].to_numpy(), y[known].to_numpy()).predict(X.dropna().to_numpy())
    predicted = model.predict(X)
    assert predicted.index.equals(X.index)
    assert np.isnan(predicted.iloc[5])
    np.testing.assert_allclose(predicted.drop(5), expected, rtol=1e-12, atol=1e-12)


def test_a_prediction_of_ridge_depends_on_its_row_alone(rows):
    X, y = rows  # noqa: N806
    model = model_registry.create("ml.ridge").train(X, y)
    whole = model.predict(X).to_numpy()
    alone = np.concatenate([model.predict(X.iloc[i : i + 1]).to_numpy() for i in range(len(X))])
    assert whole.tobytes() == alone.tobytes()
    assert whole.tobytes() == model.predict_rows(X.to_numpy(), list(X.columns)).tobytes()


def test_ridge_is_saved_to_one_file_and_needs_trust(rows, tmp_path):
    X, y = rows  # noqa: N806
    model = model_registry.create("ml.ridge").train(X, y)
    model.save(tmp_path / model.file_name)
    again = model_registry.create("ml.ridge").load(tmp_path / model.file_name)
    assert [path.name for path in tmp_path.iterdir()] == ["model.joblib"]
    assert again.predict(X).equals(model.predict(X))
    assert model.trusted_only


def test_ridge_names_what_is_wrong(rows, tmp_path):
    X, y = rows  # noqa: N806
    model = model_registry.create("ml.ridge")
    for use in (lambda: model.predict(X), lambda: model.save(tmp_path / "x")):
        with pytest.raises(PluginError, match=r"^ml\.ridge: there is no model yet; call train or load first"):
            use()
    with pytest.raises(PluginError, match=r"^ml\.ridge: there is no row without NaN"):
        model.train(X * np.nan, y)
    model.train(X, y)
    with pytest.raises(PluginError, match=r"^ml\.ridge: other columns than in training: missing atr"):
        model.predict(X[["rsi", "momentum"]])
    (tmp_path / "torn").write_bytes(b"\x80\x04")
    with pytest.raises(ArtifactError, match="cannot be read as a ridge model"):
        model.load(tmp_path / "torn")
