"""A strategy of each kind, the models that they use, and a plugin of a user's."""

import csv
import json
from pathlib import Path
from typing import Any

import yaml

from tests.recorded.checkout import Checkout
from tests.recorded.inputs import MINUTE, MINUTES, PARTITIONS, START, SYMBOLS, prices

PREFIX = "recorded."
NEWS = ("news", "news_ranked")
SECTIONS = ("ranked", "weighed", "news_ranked")
PLUGIN = '''
"""A user's plugins: one that has only `compute`, and one that fails at what a file names."""

from pathlib import Path

from plugins.features import BaseFeature, feature_registry


@feature_registry.register("mine.spread")
class Spread(BaseFeature):
    """Range of the last bars over their mean close."""

    lookback = 7

    def compute(self, data):
        span = data["high"].rolling(7).max() - data["low"].rolling(7).min()
        return (span / data["close"].rolling(7).mean()).to_frame("spread")


@feature_registry.register("mine.moody")
class Moody(BaseFeature):
    """The close; where a file names it, it fails."""

    lookback = 3

    def compute(self, data):
        file = Path(__file__).with_name("fail")
        if file.exists() and set(file.read_text().split()) & {str(close) for close in data["close"]}:
            raise ZeroDivisionError("by zero")
        return data[["close"]].rename(columns={"close": "moody"})
'''
TWO: list[Any] = [{"technical.rsi": {"period": 5}}, {"statistical.momentum": {"window": 5}}]
NEWS_FEATURES: list[Any] = [
    "news.finbert_sentiment", "news.sentiment_momentum", {"news.sentiment_divergence": {"window": 5}},
]  # fmt: skip
BASE = {"interval": "1m", "start": "earliest"}
GRACE, SHORT_GRACE = 3600.0, 30.0
"""Seconds that a cross-section waits: no slow machine may come to its end, but where bars are missing and a life waits
for it. It is no part of the configuration that is applied.
"""
GBM = {"n_estimators": 8, "num_leaves": 7, "min_child_samples": 10}
LSTM = {"seq_len": 6, "hidden_size": 4, "num_layers": 1, "epochs": 2}


def threshold(buy: float, sell: float) -> dict[str, Any]:
    return {"key": "signal.threshold", "buy_threshold": buy, "sell_threshold": sell}


def model(key: str, name: str, params: dict[str, Any], models: Path) -> dict[str, Any]:
    return {"key": key, "artifact": str(models / name), "params": params}


def strategies(models: Path) -> dict[str, dict[str, Any]]:
    """By name."""
    gbm, other = (model("ml.lightgbm", name, GBM, models) for name in ("gbm", "gbm_b"))
    lstm = model("dl.lstm", "lstm", LSTM, models)
    zscore = {"key": "signal.long_short", "scaling": "zscore", "zscore_window": 8, "clip_min": -3, "clip_max": 3}
    ranking = {"key": "signal.ranking", "top_n": 2, "bottom_n": 2}
    plain = ["technical.rsi", "technical.atr", {"statistical.momentum": {"window": 20}}, "statistical.z_score"]
    section = {"universe": SYMBOLS, "cross_section": {"grace": GRACE}}
    found: dict[str, dict[str, Any]] = {
        "plain": {"features": plain, "prediction": "rsi", "signal": threshold(60.0, 40.0)},
        "slow": {"features": TWO, "prediction": "rsi", "signal": threshold(60.0, 40.0), "interval": "5m"},
        "forest": {"features": TWO, "model": gbm, "shadow": lstm, "signal": threshold(1e-5, -1e-5)},
        "deep": {"features": TWO, "model": lstm, "shadow": other, "signal": zscore},
        "mine": {"features": ["mine.spread", "technical.rsi"], "prediction": "spread",
                 "signal": threshold(0.01, 0.006)},
        "moody": {"features": ["mine.moody"], "prediction": "moody", "signal": threshold(101.0, 99.0)},
        "ranked": {"features": TWO, "model": gbm, "signal": ranking} | section,
        "weighed": {"features": TWO, "prediction": "momentum",
                    "signal": {"key": "signal.portfolio", "weighting": "rank"}} | section,
        "news": {"features": NEWS_FEATURES, "prediction": "sentiment_momentum", "signal": threshold(0.2, -0.2)},
        "news_ranked": {"features": NEWS_FEATURES, "prediction": "sentiment_momentum", "signal": ranking} | section,
    }  # fmt: skip
    return {name: BASE | each for name, each in found.items()}


def trained_only(models: Path) -> dict[str, dict[str, Any]]:
    """One model for each symbol. The code before cannot run it: a worker's start asks such a model for a prediction of
    no symbol.
    """
    single = {"model": model("ml.lightgbm", "single", GBM, models), "universe": SYMBOLS[:4],
              "training": {"per_symbol": True}}  # fmt: skip
    return {"single": BASE | {"features": TWO, "signal": threshold(1e-5, -1e-5)} | single}


def write_config(file: Path, models: Path, bootstrap: str, more: dict[str, dict[str, Any]] | None = None) -> Path:
    """The file for one recording; but for the broker's address all have the same."""
    settings = {
        "kafka": {"bootstrap": bootstrap, "prefix": PREFIX, "group": "recorded", "session_timeout": 5.0,
                  "partitions": PARTITIONS, "news_partitions": 1},
        "worker": {"http": False, "commit_interval": 0.1, "snapshot_interval": 1.0, "chunk": 200,
                   "delivery_timeout": 300.0, "stall_timeout": 600.0, "stop_timeout": 60.0},
        "news": {"scorer": "lexicon", "memory": 3600.0, "grace": 2.0},
        "strategies": strategies(models) | (more or {}),
    }  # fmt: skip
    file.write_text(yaml.safe_dump(settings, sort_keys=False))
    return file


def set_grace(config: Path, seconds: float) -> None:
    """Of all cross-sections, for the lives that come."""
    settings = yaml.safe_load(config.read_text())
    for name in SECTIONS:
        settings["strategies"][name]["cross_section"]["grace"] = seconds
    config.write_text(yaml.safe_dump(settings, sort_keys=False))


def write_plugin(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "mine.py"
    file.write_text(PLUGIN)
    return file


def train(checkout: Checkout, folder: Path, models: Path, plugin: Path) -> dict[str, str]:
    """The artifacts that the strategies use, trained by this checkout unless they are there; by name, their SHA-256."""
    done = models / "sha256.json"
    if done.exists():
        return dict(json.loads(done.read_text()))
    bars = folder / "bars.csv"
    config = write_config(folder / "train.yaml", models, "localhost:9092", trained_only(models))
    with bars.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("symbol", "timestamp", "open", "high", "low", "close", "volume"))
        for symbol in SYMBOLS:
            rows.writerows((symbol, START + n * MINUTE, *prices(symbol)[n]) for n in range(MINUTES))
    found = {}
    for strategy, name, period in (
        ("forest", "gbm", 0),
        ("forest", "gbm_b", 60),
        ("deep", "lstm", 0),
        ("single", "single", 0),
    ):
        words = ["train", strategy, "--bars", str(bars), "-c", str(config), "--out", str(models / name), "--json"]
        more = ["--from", str(START + period * MINUTE)] if period else []
        told = json.loads(checkout.run(*words, *more, "--plugins", str(plugin), folder=folder))
        found[name] = str(told["sha256"])
    done.write_text(json.dumps(found))
    return found
