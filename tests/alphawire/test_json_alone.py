"""With ``--json``, standard output is one JSON document a line or a whole, whatever plugins write as they work."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from alphawire.cli import cli
from alphawire.commands.options import json_option
from schemas.configuration import Config
from streams.kafka.brokers import Broker
from streams.kafka.clients import open_producer
from streams.kafka.topics import topic_name
from tests.support import forked
from tests.support.deadlines import deadline
from tests.support.live import minute_bars, topics_and_bars, write_config

PLUGINS = '''
import atexit, ctypes, os, subprocess, sys
import pandas as pd
from plugins.engines.backtrader import BacktraderEngine
from plugins.engines import engine_registry
from plugins.features import BaseFeature, feature_registry
from plugins.models import BaseModel, model_registry
from plugins.signals import BaseSignalGenerator, signal_registry

C = ctypes.CDLL(None)
DONE = set()

def noise(when):
    """By Python, past it, by C with its own buffer; once by a child."""
    print("noise of", when)
    sys.__stdout__.write(f"noise past {when}\\n")
    os.write(1, b"noise of the descriptor\\n")
    C.printf(b"noise of C\\n")
    if when not in DONE:
        DONE.add(when)
        subprocess.run(["echo", "noise of a child of", when])

noise("import")
atexit.register(noise, "end")

@feature_registry.register("mydesk.technical.noisy")
class Feature(BaseFeature):
    lookback = 2
    outputs = ("noisy",)
    def compute(self, data):
        noise("compute")
        return (data[["close"]] - data["close"].mean()).rename(columns={"close": "noisy"})

@model_registry.register("mydesk.ml.noisy")
class Model(BaseModel):
    def train(self, X, y):
        noise("train")
        return self
    def predict(self, X):
        noise("predict")
        return X["noisy"] * 2.0
    def save(self, path):
        noise("save")
        with open(path, "w") as file:
            file.write("nothing")
    def load(self, path):
        noise("load")
        return self

@signal_registry.register("mydesk.signal.noisy")
class Signal(BaseSignalGenerator):
    def generate(self, predictions):
        noise("generate")
        sides = (predictions["prediction"] > 0).map({True: "BUY", False: "SELL"})
        return pd.DataFrame({"signal": sides}, predictions.index)

@engine_registry.register("mydesk.engine.noisy")
class Engine(BacktraderEngine):
    def run(self, prices, signals):
        noise("run")
        return super().run(prices, signals)
'''
FEATURES = ["mydesk.technical.noisy"]
SIGNAL: dict[str, Any] = {"key": "mydesk.signal.noisy"}
PLAIN: dict[str, Any] = {"interval": "1m", "features": FEATURES, "prediction": "noisy", "signal": SIGNAL}
MODELLED = {
    "interval": "1m", "features": FEATURES, "signal": SIGNAL, "model": {"key": "mydesk.ml.noisy", "artifact": "model"},
    "training": {"target": "forward_return", "horizon_bars": 2},
}  # fmt: skip
SOURCE = ("--source", "bars.csv")

LINES: dict[str, tuple[tuple[str, ...], ...]] = {
    "plugins": (("--plugins", "noisy.py"), ("--schema", "technical.rsi", "--plugins", "noisy.py")),
    "check": (("mydesk.technical.noisy", "--plugins", "noisy.py"),),
    "topics create": (("-c", "a.yaml"),),
    "topics list": (("-c", "a.yaml"),),
    "produce bars": (("bars.csv", "--interval", "1m", "-c", "a.yaml"),),
    "produce news": (("news.csv", "-c", "a.yaml"),),
    "resample": (("bars.csv", "--interval", "1m", "--into", "5m", "--out", "longer.csv", "-c", "a.yaml"),),
    "train": tuple(
        ("modelled", "--bars", "bars.csv", "-c", "a.yaml", "--plugins", "noisy.py", *more)
        for more in ((), ("--cv", "walk-forward", "--folds", "2", "--jobs", "1"))
    ),
    "features": (("modelled", *SOURCE, "--out", "rows.parquet", "-c", "a.yaml", "--plugins", "noisy.py"),),
    "models list": (("modelled", "-c", "a.yaml", "--plugins", "noisy.py"),),
    "models use": (("modelled", "--back", "--wait", "0", "-c", "a.yaml", "--plugins", "noisy.py"),),
    "pause": (("plain", "--wait", "0", "-c", "a.yaml", "--plugins", "noisy.py"),),
    "resume": (("plain", "--wait", "0", "-c", "a.yaml", "--plugins", "noisy.py"),),
    "state leave-out": (("A", "-c", "a.yaml"),),
    "state rebuild": (("plain", "-c", "a.yaml"),),
    "state show": (("-c", "a.yaml", "--plugins", "noisy.py"),),
    "replay": (("modelled", *SOURCE, "--out", "s.jsonl", "-c", "a.yaml", "--plugins", "noisy.py"),),
    "dead-letters list": (("-c", "a.yaml"),),
    "dead-letters replay": (("--all", "-c", "a.yaml"),),
    "dead-letters show": (("0:0", "-c", "a.yaml"),),
    "verify": (("plain", "-c", "a.yaml", "--plugins", "noisy.py"),),
    "explain": (("ID", "--file", "s.jsonl", "--bars", "bars.csv", "-c", "a.yaml", "--plugins", "noisy.py"),),
    "archive": (("--topic", "bars", "--out", "archive", "-c", "a.yaml"),),
    "backtest": (
        ("modelled", *SOURCE, "--engine", "mydesk.engine.noisy", "--out", "run", "-c", "a.yaml", "--plugins",
         "noisy.py"),
    ),
    "sweep": (
        ("plain", "--grid", "execution.weight=0.1,0.2", *SOURCE, "--jobs", "2", "--engine", "mydesk.engine.noisy",
         "--out", "swept", "-c", "a.yaml", "--plugins", "noisy.py"),
    ),
}  # fmt: skip
"""Command → what follows it, once or more; in this order each finds what it needs."""
ELSEWHERE = {
    "bars": "tests/streams/test_trades_killed.py",
    "inspect": "tests/alphawire/test_inspect_command.py",
    "models compare": "tests/streams/test_shadow.py",
    "schemas register": "tests/streams/test_topic_encodings.py",
    "broker": "tests/streams/test_brokers.py",
    "demo": "tests/test_demo.py",
}
"""Commands that take no plugins, run long, or need a worker that has run."""


def commands(group: click.Command = cli, words: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """All that have ``--json``, by name."""
    if isinstance(group, click.Group):
        context = click.Context(group)
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            yield from commands(command, (*words, name))
    elif any("--json" in param.opts for param in group.params):
        yield " ".join(words), group


def test_each_command_has_the_one_option_and_is_tried() -> None:
    found = dict(commands())
    guarded = json_option(lambda as_json: None).__code__
    assert [name for name, command in found.items() if command.callback.__code__ is not guarded] == []  # type: ignore[union-attr]
    assert sorted(LINES | ELSEWHERE) == sorted(found)


BEYOND = b'{"symbol":"AAPL","close":1e999}'
LETTER = {"topic": b"alone.bars", "partition": b"0", "offset": b"0", "error": b"values", "reason": b"too large"}


@pytest.fixture
def folder(tmp_path: Path, tansu: Broker) -> Path:
    """A configuration, bars and news as files, topics with a dead letter, and the plugins."""
    (tmp_path / "noisy.py").write_text(PLUGINS)
    config = write_config(tmp_path / "a.yaml", tansu.bootstrap, "alone.", {"plain": PLAIN, "modelled": MODELLED})
    bars = minute_bars(120)
    topics_and_bars(config, bars)
    asyncio.run(send_letter(config))
    rows = bars.drop(columns=["close_time", "interval"]).rename(columns={"open_time": "time"})
    rows.to_csv(tmp_path / "bars.csv", index=False)
    (tmp_path / "news.csv").write_text("id,published_at,symbols,headline\na,2024-03-08T15:00:00Z,AAPL,up\n")
    return tmp_path


async def send_letter(config: Config) -> None:
    """One whose value has a number beyond all numbers, which JSON writes and Python reads as infinite."""
    headers = list(LETTER.items())
    async with open_producer(config.kafka) as producer:
        name = topic_name(config.kafka, "dead-letters")
        await producer.send_and_wait(name, BEYOND, b"AAPL", partition=0, headers=headers)


def documents(text: str) -> list[Any]:
    """ValueError where anything else is among them."""

    def refuse(word: str) -> None:
        raise ValueError(f"{word} is no JSON")

    decoder, found = json.JSONDecoder(parse_constant=refuse), []
    while text := text.strip():
        document, end = decoder.raw_decode(text)
        found.append(document)
        text = text[end:]
    return found


def test_nothing_but_json(folder: Path) -> None:
    heard = ""
    for name, lines in LINES.items():
        for line in lines:
            words = [_first_id(folder) if word == "ID" else word for word in line]
            words += [] if "--schema" in words else ["--json"]
            done = run(*name.split(), *words, cwd=folder)
            assert done.returncode in (0, 1), (name, done.stderr[-2000:])
            assert len(documents(done.stdout)) == 1, (name, done.stdout[:1000], done.stderr[-2000:])
            heard += done.stderr
            if name == "dead-letters show":
                assert json.loads(done.stdout)["text"] == BEYOND.decode()
    for what in ("import", "compute", "train", "predict", "save", "load", "generate", "run", "end"):
        for how in ("of", "past", "of a child of"):
            assert f"noise {how} {what}" in heard
    assert "noise of C" in heard
    assert "noise of the descriptor" in heard


def run(*words: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    """A fork ends otherwise than a process of its own, which is why joblib's processes would stay with it."""
    if words[0] != "sweep":
        return forked.run(*words, cwd=cwd)
    return subprocess.run(
        [sys.executable, "-m", "alphawire", *words], cwd=cwd, capture_output=True, text=True, timeout=deadline(120),
        check=False,
    )  # fmt: skip


def _first_id(folder: Path) -> str:
    content = json.loads((folder / "s.jsonl").read_text().splitlines()[0])["content"]
    return str(content["id"])
