"""Strategies with features of the cross-section over files: columns as pandas makes them, the model's own predictions,
members only, and the same in training, replay, sweep and API.
"""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import alphawire as aw
from backtest.replay.replay import replay_file, replay_frame
from backtest.replay.shared_features import signals_of
from backtest.replay.stretches import recreated
from backtest.sources.bars import file_steps
from backtest.training import make_samples
from plugins.features import feature_registry
from plugins.strategy.ready import ready_strategy
from schemas.configuration import Config, Strategy
from schemas.errors import PluginError
from schemas.wire import Applied, Origin
from tests.backtest.test_cross_sections import DAY, FIRST, bars, file

__all__ = ["bars", "file"]

WINDOW = 3
COLUMNS = ["momentum", "z_score", "momentum.rank", "momentum.zscore", "z", "both"]
FEATURES: list[Any] = [
    {"section.rank": {"column": "momentum"}},
    {"statistical.momentum": {"window": WINDOW}},
    {"section.zscore": {"column": "momentum", "ddof": 0}},
    {"statistical.z_score": {"window": 4}},
    {"section.demean": {"column": "z_score", "as": "z"}},
]


def strategy(**changes: Any) -> Strategy:
    plain: dict[str, Any] = {
        "interval": "1d", "universe": "*", "features": FEATURES, "prediction": "momentum.rank",
        "expr": {"both": "momentum.rank - z"},
        "signal": {"signal.threshold": {"buy_threshold": 0.8, "sell_threshold": 0.2}},
        "training": {"horizon_bars": 2},
    }  # fmt: skip
    return Strategy.model_validate(plain | changes)


@pytest.fixture(scope="module")
def trained(bars: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Config:
    """The strategy with a model."""
    folder = tmp_path_factory.mktemp("model")
    model = {
        "key": "ml.lightgbm",
        "artifact": str(folder / "m"),
        "params": {"n_estimators": 20, "min_child_samples": 5},
    }
    signal = {"signal.ranking": {"top_n": 2, "bottom_n": 1}}
    plain = strategy(prediction=None, model=model, signal=signal).model_dump(mode="json", exclude_defaults=True)
    file = folder / "alphawire.yaml"
    file.write_text(json.dumps({"strategies": {"demo": plain}}))
    strategies = aw.load(file)
    strategies["demo"].train(normal(bars))
    return strategies.config


def normal(bars: pd.DataFrame) -> pd.DataFrame:
    """As a user has them: times of the starts."""
    times = pd.to_datetime(bars["open_time"], unit="ms", utc=True)
    return bars.assign(time=times).drop(columns=["open_time", "close_time"])


def by_pandas(bars: pd.DataFrame, members: Any = None) -> pd.DataFrame:
    """The columns, of bars that count: past the warm-up, and of members."""
    by_symbol = bars.groupby("symbol")["close"]
    table = bars[["symbol", "close_time"]].assign(
        momentum=by_symbol.pct_change(WINDOW, fill_method=None),
        z_score=(bars["close"] - by_symbol.transform(lambda x: x.rolling(4).mean()))
        / by_symbol.transform(lambda x: x.rolling(4).std()),
    )
    table = table[by_symbol.cumcount() >= WINDOW]
    if members is not None:
        table = table[[members(*at) for at in zip(table["symbol"], table["close_time"], strict=True)]]
    at = table.groupby("close_time")
    momentum, z = at["momentum"], table["z_score"]
    deviation = momentum.transform(lambda x: x.std(ddof=0))
    return table.assign(**{
        "momentum.rank": momentum.rank(method="average", pct=True),
        "momentum.zscore": (table["momentum"] - momentum.transform("mean")) / deviation,
        "z": z - at["z_score"].transform("mean"),
        "both": momentum.rank(method="average", pct=True) - (z - at["z_score"].transform("mean")),
    }).set_index(["symbol", "close_time"])  # fmt: skip


def indexed(frame: pd.DataFrame) -> pd.DataFrame:
    times = frame["time"]
    if not pd.api.types.is_integer_dtype(times):
        times = times.astype("datetime64[ms, UTC]").astype("int64")
    return frame.assign(close_time=times).drop(columns=["time"]).set_index(["symbol", "close_time"])


def test_the_columns_are_those_of_pandas(bars: pd.DataFrame, trained: Config) -> None:
    found = indexed(aw.api.LoadedStrategy(trained, "demo").features(normal(bars)))
    wanted = by_pandas(bars)
    there = found.loc[wanted.index]
    pd.testing.assert_frame_equal(there[COLUMNS], wanted[COLUMNS], rtol=1e-9, atol=1e-12)
    pd.testing.assert_series_equal(there["momentum.rank"], wanted["momentum.rank"], rtol=0, atol=0)
    assert found.drop(wanted.index)[COLUMNS[2:]].isna().all().all()


def test_the_model_predicts_what_it_was_trained_on(bars: pd.DataFrame, trained: Config) -> None:
    """By the library's own prediction of the columns that training sees."""
    import lightgbm

    strategies = aw.api.Strategies(trained)["demo"]
    found, columns = indexed(strategies.predictions(normal(bars))), indexed(strategies.features(normal(bars)))
    (model,) = Path(trained.strategy("demo").model.artifact).glob("model-*.txt")  # type: ignore[union-attr]
    booster = lightgbm.Booster(model_file=str(model))
    known = found["prediction"].notna()
    assert known.sum() == len(by_pandas(bars)) > 250
    wanted = booster.predict(columns.loc[found.index[known], COLUMNS].to_numpy())
    np.testing.assert_allclose(found["prediction"][known], wanted, rtol=1e-12)
    assert len(set(found["prediction"][known])) > 10
    samples = make_samples("demo", trained.strategy("demo"), bars)
    rows = indexed(samples.X.reset_index())
    pd.testing.assert_frame_equal(rows, columns.loc[rows.index], rtol=0, atol=0)


def test_a_signal_that_looks_at_one_symbol_decides_by_all_columns(bars: pd.DataFrame, file: Path) -> None:
    tame = [
        {"column": "momentum.zscore", "op": "<", "value": 1.2},
        {"column": "z_score", "op": ">", "value": -9},
    ]
    signal = {"signal.threshold": {"buy_threshold": 0.7, "sell_threshold": 0.3, "conditions": {"all": tame}}}
    result = replay_file(ready_strategy("demo", strategy(signal=signal)), str(file))
    wanted = by_pandas(bars)
    rank, holds = wanted["momentum.rank"], wanted["momentum.zscore"] < 1.2
    sides = pd.Series(np.select([holds & (rank > 0.7), holds & (rank < 0.3)], ["BUY", "SELL"], "HOLD"), wanted.index)
    found = indexed(result.signals)
    assert found["signal"].loc[sides.index].tolist() == sides.tolist()
    assert set(sides) == {"BUY", "SELL", "HOLD"}
    warming = found.drop(sides.index)
    assert set(warming["signal"]) == {"HOLD"}
    assert set(warming["reason"]) == {f"warming up: bar {bar} of 4" for bar in (1, 2, 3)}


def test_only_members_of_that_time_count(bars: pd.DataFrame, tmp_path: Path) -> None:
    history = tmp_path / "members.csv"
    leaves = pd.Timestamp((FIRST + 30) * DAY, unit="ms", tz="UTC")
    history.write_text(
        "symbol,from,to\n"
        + "".join(f"S{n},2000-01-01,\n" for n in range(1, 9))
        + f"S0,2000-01-01,{leaves.isoformat()}\n"
    )
    one = strategy(universe={"history": str(history)})

    def member(symbol: str, time: int) -> bool:
        return symbol != "S0" or time < leaves.value // 1_000_000

    wanted = by_pandas(bars, member)
    rows = indexed(make_samples("demo", one, bars).X.reset_index())
    pd.testing.assert_frame_equal(rows[COLUMNS], wanted.loc[rows.index, COLUMNS], rtol=1e-9, atol=1e-12)
    assert len(rows) > 200
    found = indexed(replay_frame(ready_strategy("demo", one), bars).signals)
    ranks = found["prediction"].dropna()
    pd.testing.assert_series_equal(ranks, wanted["momentum.rank"].loc[ranks.index], check_names=False, rtol=0, atol=0)
    assert len(ranks) == len(wanted)
    left = [s for s in replay_frame(ready_strategy("demo", one), bars).raw if s.content.reason == "left the universe"]
    assert {s.content.symbol for s in left} == {"S0"}


def test_points_of_a_sweep_are_replays(bars: pd.DataFrame) -> None:
    grid = [{"signal.threshold": {"buy_threshold": 0.8, "sell_threshold": low}} for low in (0.1, 0.3)]
    ready = [ready_strategy("demo", strategy(signal=signal)) for signal in grid]
    for each, shared in zip(ready, signals_of(ready, file_steps(bars, "1d")), strict=True):
        pd.testing.assert_frame_equal(shared, replay_frame(each, bars).signals)


def test_what_was_applied_is_made_again(trained: Config) -> None:
    """By its columns, aliases and parameters; an edited parameter is another configuration."""
    ready = ready_strategy("demo", trained.strategy("demo"))
    entry = Applied(
        "demo",
        "bars",
        0,
        0,
        Origin(0, 0),
        0,
        ready.config_hash,
        ready.config,
        model=ready.model_id,
        layout=ready.layout,
    )
    again = recreated(entry, trained)
    assert again is not None
    assert (again.config, again.all_columns) == (ready.config, COLUMNS)
    changed = [FEATURES[0], *FEATURES[1:2], {"section.zscore": {"column": "momentum", "ddof": 1}}, *FEATURES[3:]]
    assert (
        ready_strategy("demo", strategy(features=changed)).config_hash != ready_strategy("demo", strategy()).config_hash
    )


def test_a_signal_is_explained_with_the_columns_of_its_cross_section(bars: pd.DataFrame, trained: Config) -> None:
    one = aw.api.LoadedStrategy(trained, "demo")
    signals = indexed(one.signals(normal(bars)))
    columns = indexed(one.features(normal(bars)))
    for at in [("S8", (FIRST + 39) * DAY), ("S3", (FIRST + 12) * DAY)]:
        explanation = one.explain(signals["id"].loc[at], normal(bars))
        assert explanation.reproduced, explanation.difference
        assert explanation.columns == columns.loc[at].to_dict()
        assert explanation.prediction == signals["prediction"].loc[at]


def test_from_a_time_on_another_model_predicts(bars: pd.DataFrame) -> None:
    """As a sweep that trains again and again has it: the cross-section of each time is of one strategy."""
    first, then = ready_strategy("demo", strategy()), ready_strategy("demo", strategy(prediction="z"))
    at = (FIRST + 20) * DAY
    (found,) = signals_of([first], file_steps(bars, "1d"), None, [[(at, then)]])
    before, after = (replay_frame(one, bars).signals for one in (first, then))
    wanted = pd.concat([before[before["time"] < at], after[after["time"] >= at]], ignore_index=True)
    pd.testing.assert_frame_equal(found, wanted)
    assert found["prediction"].notna().sum() > 200


def test_a_feature_that_fails_is_named_with_the_time(bars: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    """In training as in a replay."""
    members, count = by_pandas(bars).groupby("close_time")["momentum"].count(), 7
    time = int(members[members == count].index[0])

    def fails(self: Any, values: Any) -> Any:
        if len(values) == count:
            raise ValueError("seven")
        return values

    monkeypatch.setattr(feature_registry.get("section.rank"), "section", fails)
    where = f"strategy demo fails at the cross-section of time {time}"
    told = re.escape(f"{where}: section.rank: section failed: ValueError: seven")
    with pytest.raises(PluginError, match=told):
        make_samples("demo", strategy(), bars)
    with pytest.raises(PluginError, match=told):
        replay_frame(ready_strategy("demo", strategy()), bars)
