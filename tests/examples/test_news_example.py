"""`examples/news_ranking.yaml` over a slice of the real tweets and daily bars, by the commands that docs/news.md names:
articles, scores, bars, a model trained on the topics, a worker, `verify`, backtests. The oracle of all of it is the way
by files, which has no topic, no scorer process, no worker and no closing in it.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner

from alphawire.cli import cli
from backtest.replay.replay import ReplayResult, replay
from plugins.strategy.ready import ready_strategy
from schemas.configuration import Config, load_config
from schemas.wire import Signal
from streams.kafka.brokers import TansuBroker
from streams.scorer.partition import last_marks
from streams.scorer.service import destination_of
from tests.support.deadlines import deadline
from tests.support.feature_bars import ROOT, SHARED, needs_shared
from tests.support.forked import Forked
from tests.support.live import SignalCount, WorkerProcess, records, wait_for
from tests.support.tiny_bert import save_tiny_bert

FILE = ROOT / "examples" / "news_ranking.yaml"
SYMBOLS = ["AMZN", "BAC", "GE", "JPM", "MSFT", "XOM"]
Decided = dict[tuple[str, int], tuple[str, float | None, float | None]]


def test_what_the_example_says_can_be_made() -> None:
    config = load_config(FILE)
    bare = {name: config.strategy(name).model_copy(update={"model": None}) for name in ("news", "prices")}
    ready = {name: ready_strategy(name, strategy) for name, strategy in bare.items()}
    assert {name: strategy.uses_news for name, strategy in ready.items()} == {"news": True, "prices": False}
    assert all(strategy.generator.cross_section for strategy in ready.values())
    news, prices = (config.strategy(name).model_dump(exclude={"features", "model"}) for name in ("news", "prices"))
    assert news == prices
    assert ready["news"].columns[: len(ready["prices"].columns)] == ready["prices"].columns


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three months of six symbols, as files."""
    folder = tmp_path_factory.mktemp("slice")
    for name, column, start in (("daily", "timestamp", "2015-08-01"), ("text", "published_at", "2015-09-01")):
        frame = pd.read_parquet(SHARED / f"equities_{name}.parquet")
        inside = (frame[column] >= start) & (frame[column] < "2015-12-01") & frame["symbol"].isin(SYMBOLS)
        frame[inside].to_parquet(folder / f"{name}.parquet", index=False)
    return folder


def slice_of_the_example(folder: Path, broker: TansuBroker, news: dict[str, Any]) -> Path:
    given = yaml.safe_load(FILE.read_text())
    given["kafka"] = {"bootstrap": broker.bootstrap, "prefix": f"{folder.name}.", "group": folder.name, "partitions": 2}
    given["worker"] = {"http": False}
    given["news"] |= news
    for name, strategy in given["strategies"].items():
        strategy["universe"] = SYMBOLS
        strategy["model"] |= {"artifact": str(folder / "models" / name), "params": {"min_child_samples": 20}}
        strategy["signal"] |= {"top_n": 2, "bottom_n": 2}
    path = folder / "slice.yaml"
    path.write_text(yaml.safe_dump(given))
    return path


def run(path: Path, *words: object) -> str:
    done = CliRunner().invoke(cli, [*map(str, words), "-c", str(path)])
    assert done.exit_code == 0, (words, done.output, done.exception)
    return done.stdout


def scored(config: Config, articles: int) -> bool:
    async def marks() -> int:
        found = await last_marks(config.kafka, await destination_of(config), [0, 1])
        return sum(mark.next for mark in found.values())

    return asyncio.run(marks()) == articles


def decided(result: ReplayResult) -> Decided:
    return {(s.content.symbol, s.content.time): _said(s) for s in result.raw}


def live(config: Config, name: str) -> Decided:
    found = [msgspec.json.decode(record.value, type=Signal) for record in records(config, "signals")]
    return {(s.content.symbol, s.content.time): _said(s) for s in found if s.content.strategy == name}


def _said(signal: Signal) -> tuple[str, float | None, float | None]:
    return str(signal.content.signal), signal.content.weight, signal.content.prediction


@pytest.mark.slow
@needs_shared
@pytest.mark.parametrize("scorer", ["lexicon", "finbert"])
def test_from_tweets_to_a_verified_ranking(scorer: str, tansu: TansuBroker, data: Path, tmp_path: Path) -> None:
    bars, tweets = data / "daily.parquet", data / "text.parquet"
    model = {"model": str(save_tiny_bert(tmp_path / "bert")), "max_length": 64} if scorer == "finbert" else {}
    path = slice_of_the_example(tmp_path, tansu, {"scorer": scorer} | model)
    config, count = load_config(path), len(pd.read_parquet(bars))
    run(path, "topics", "create")
    run(path, "produce", "news", tweets, "--history")
    articles = pd.read_parquet(tweets)["id"].nunique()
    process = Forked("scorer", "-c", str(path), "--no-http", log=tmp_path / "scorer.log")
    wait_for(lambda: scored(config, articles) or process.poll() is not None, 600, 0.5)
    assert process.poll() is None, (tmp_path / "scorer.log").read_text()[-1000:]
    run(path, "produce", "bars", bars, "--interval", "1d")

    of_topics = json.loads(run(path, "train", "news", "--bars", "kafka", "--json"))
    of_files = run(path, "train", "news", "--bars", bars, "--news", tweets, "--out", tmp_path / "other", "--json")
    assert of_topics["sha256"] == json.loads(of_files)["sha256"]
    run(path, "train", "prices", "--bars", "kafka")

    signals = SignalCount(config)
    with WorkerProcess(path) as worker:
        wait_for(lambda: signals() >= 2 * count or worker.process.poll() is not None, 300, 0.5)
        assert worker.stop() == 0
    process.terminate()
    assert process.wait(deadline(60)) == 0
    for name in ("news", "prices"):
        told = json.loads(run(path, "verify", name, "--json"))
        assert (told["ok"], told["equal"], told["unpublished"]) == (True, count, 0)

    seen = decided(replay(config, "news", str(bars), news=str(tweets)))
    assert live(config, "news") == seen
    assert live(config, "prices") == decided(replay(config, "prices", str(bars)))
    blind = decided(replay(config, "news", str(bars)))
    changed = [key for key, said in seen.items() if said[2] != blind[key][2]]
    assert len(changed) > count / 4

    out = tmp_path / "result"
    told = json.loads(
        run(path, "backtest", "news", "--engine", "backtrader", "--engine", "vectorbt", "--out", out, "--json")
    )
    assert [engine["metrics"]["fills"] > 0 for engine in told["engines"].values()] == [True, True]
    assert (out / "report.html").stat().st_size > 10_000
