"""A sweep of a strategy that reads the news: each point is the backtest that sees the same scores."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from click.testing import CliRunner

from alphawire.cli import cli
from backtest.engines.backtest import run_backtest
from backtest.replay.replay import replay
from backtest.sweep.grid import strategy_at
from schemas.configuration import Config, load_config
from tests.support.live import minute_bars
from tests.support.scores import scored

pytest.importorskip("backtrader", reason="the engine's library is not installed: pip install 'alphawire[backtest]'")

STRATEGY: dict[str, Any] = {
    "interval": "1m",
    "features": ["news.finbert_sentiment"],
    "prediction": "positive_score",
    "signal": {"key": "signal.threshold", "buy_threshold": 0.6, "sell_threshold": 0.3},
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("news")
    bars = minute_bars(600)
    times = pd.to_datetime(bars["open_time"], unit="ms", utc=True)
    columns = bars[["symbol", "open", "high", "low", "close", "volume"]]
    columns.assign(timestamp=times).to_parquet(folder / "bars.parquet")
    scores = scored(bars)
    scores.to_csv(folder / "scores.csv", index=False)
    scores.iloc[: len(scores) // 2].to_csv(folder / "half.csv", index=False)
    given = {"news": {"scorer": "lexicon"}, "strategies": {"s": STRATEGY, "plain": STRATEGY | PLAIN}}
    (folder / "some.yaml").write_text(yaml.safe_dump(given))
    return {path.name: str(path) for path in folder.iterdir()}


PLAIN: dict[str, Any] = {"features": ["technical.rsi"], "prediction": "rsi"}


def sweep(files: dict[str, str], name: str, out: Path, *more: str) -> Any:
    command = ["sweep", name, "--grid", "signal.buy_threshold=0.4,0.6", "--source", files["bars.parquet"]]
    command += ["--backend", "threading", "--jobs", "1", "--out", str(out), "-c", files["some.yaml"]]
    return CliRunner().invoke(cli, command + list(more))


def test_each_point_sees_the_news(files: dict[str, str], tmp_path: Path) -> None:
    done = sweep(files, "s", tmp_path / "out", "--news", files["scores.csv"])
    assert done.exit_code == 0, done.output
    points = [json.loads(line) for line in (tmp_path / "out" / "points.jsonl").read_text().splitlines()[1:]]
    config = load_config(Path(files["some.yaml"]))
    for point, threshold in zip(points, (0.4, 0.6), strict=True):
        at = strategy_at(config.strategy("s"), {"signal.buy_threshold": threshold})
        alone = Config(news=config.news, strategies={"s": at})
        replayed = replay(alone, "s", files["bars.parquet"], news=files["scores.csv"])
        found = run_backtest(at, replayed.bars, replayed.signals, ["ledger"], tmp_path / f"run{threshold}")
        assert point["metrics"] == json.loads(json.dumps(found["ledger"]["metrics"]))
        assert point["metrics"]["fills"] > 10
    other = sweep(files, "s", tmp_path / "out", "--news", files["half.csv"])
    assert other.exit_code != 0  # points of other news are not gone on with
    assert "holds another sweep" in str(other.exception) + other.output


def test_news_that_nothing_would_look_at_is_refused(files: dict[str, str], tmp_path: Path) -> None:
    done = sweep(files, "plain", tmp_path / "out", "--news", files["scores.csv"])
    assert "uses no news; leave out --news" in str(done.exception) + done.output
