"""The commands of every page, run one after another as a reader would, on the embedded broker where they need one."""

import asyncio
import json
import re
import shutil
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from schemas.configuration import Config, load_config
from streams.kafka.brokers import TansuBroker
from streams.kafka.brokers.probe import free_port
from streams.kafka.clients import open_producer, read_partition_to_end
from streams.kafka.partitioner import partition_of
from streams.kafka.topics import topic_name
from tests.docs.pages import PAGES, ROOT, Page, page
from tests.docs.shell import UNTIL_STOPPED, Shell
from tests.support.deadlines import deadline
from tests.support.live import wait_for

QUICK = ("README.md", "docs/plugins.md")
"""Pages whose commands take seconds and need no broker; the others are of the long suite."""

STORIES = [one for one in PAGES if one.blocks_in("sh")]
SYMBOLS = ("AAPL", "BAC", "JNJ", "XOM")

NEEDS_BROKER = re.compile(
    r"alphawire (topics|produce|worker|scorer|bars|gateway|verify|state|dead-letters|pause|archive"
    r"|models (use|compare))"
)
PRELUDE = (
    "alphawire topics create -c alphawire.yaml",
    "alphawire produce bars examples/data/equities_minute.parquet --interval 1m -c alphawire.yaml",
    "alphawire worker -c alphawire.yaml",
)
"""What has happened on a broker before a page that does not begin with it."""
BAD_BAR = {
    "symbol": "BAC", "interval": "1m", "open_time": 1380873600000, "close_time": 1380873660000,
    "open": 14.0, "high": 14.0, "low": 14.0, "close": 14.0, "volume": -1.0,
}  # fmt: skip
"""It becomes a dead letter, and would be one again unless its volume is mended."""


def articles(bars: pd.DataFrame) -> pd.DataFrame:
    """An article for every other bar of the symbols."""
    random = np.random.default_rng(7)
    some = bars[bars["symbol"].isin(SYMBOLS)].iloc[::2]
    words = random.choice(["shares rise on strong profit", "a terrible loss", "the board meets"], len(some))
    return pd.DataFrame(
        {
            "id": [f"a{number}" for number in range(len(some))],
            "published_at": some["timestamp"] + pd.Timedelta(hours=15),
            "symbol": some["symbol"].to_numpy(),
            "headline": [f"{word} {number}" for number, word in enumerate(words)],
        }
    )


def scores(told: pd.DataFrame) -> pd.DataFrame:
    random = np.random.default_rng(8)
    shares = random.dirichlet([1.0, 1.0, 1.0], len(told))
    return told[["id", "symbol", "published_at"]].assign(
        positive=shares[:, 0], negative=shares[:, 1], neutral=shares[:, 2]
    )


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that pages take for granted: examples, a plugin, bars, articles and scores."""
    folder = tmp_path_factory.mktemp("reader")
    shutil.copytree(ROOT / "examples", folder / "examples")
    shutil.copytree(ROOT / "deploy", folder / "deploy")
    for block in page("README.md").blocks_in("python"):
        assert block.saved is not None
        (folder / block.saved).write_text(block.text)
    shutil.copy(ROOT / "examples" / "alphawire.yaml", folder / "alphawire.yaml")
    settings = yaml.safe_load((folder / "alphawire.yaml").read_text())
    settings["strategies"]["demo"]["shadow"] = {"key": "ml.lightgbm", "artifact": "models/demo-2"}
    (folder / "shadow.yaml").write_text(yaml.safe_dump(settings))
    daily = pd.read_parquet(ROOT / "examples" / "data" / "equities_daily.parquet").dropna()
    daily = daily[daily["timestamp"] < "2016-04-01"]
    daily.to_parquet(folder / "DAILY.parquet")
    articles(daily[daily["timestamp"] >= "2014-01-01"]).to_parquet(folder / "TWEETS.parquet")
    daily = daily[daily["timestamp"] < "2014-07-01"]
    daily.to_parquet(folder / "bars.parquet")
    told = articles(daily[daily["timestamp"] >= "2014-01-01"])
    told.to_parquet(folder / "articles.parquet")
    told.to_csv(folder / "articles.csv", index=False)
    told.to_csv(folder / "archive.csv", index=False)
    scores(told).to_csv(folder / "scores.csv", index=False)
    return folder


@pytest.fixture(scope="session")
def reader(files: Path) -> Path:
    """These, a trained model, and another."""
    shell = Shell(files, {})
    bars = "--bars examples/data/equities_minute.parquet -c alphawire.yaml"
    shell.run(f"alphawire train demo {bars} --to 2013-10-09")
    shell.run(f"alphawire train demo {bars} --to 2013-10-08 --out models/demo-2")
    shutil.rmtree(files / ".alphawire")
    return files


@pytest.fixture
def shell(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Shell]:
    """A copy of these files, and a broker's address in the environment, with a prefix and a group of its own."""
    folder = tmp_path / "reader"
    story = request.getfixturevalue("story")
    shutil.copytree(request.getfixturevalue("files" if story.name in QUICK else "reader"), folder)
    environment = {"COLUMNS": "200"}
    if needs_broker(story):
        broker: TansuBroker = request.getfixturevalue("tansu")
        name = re.sub(r"\W", "", tmp_path.name)
        environment |= {
            "ALPHAWIRE_KAFKA__BOOTSTRAP": broker.bootstrap,
            "ALPHAWIRE_KAFKA__PREFIX": f"{name}.",
            "ALPHAWIRE_KAFKA__GROUP": name,
            "ALPHAWIRE_KAFKA__SESSION_TIMEOUT": "2.0",
            "ALPHAWIRE_NEWS__MARK_INTERVAL": "0.1",
        }
    started = Shell(folder, environment)
    yield started
    started.kill()


def needs_broker(story: Page) -> bool:
    return any(NEEDS_BROKER.search(line) for block in story.blocks_in("sh") for line in block.commands)


class Story:
    """One page's commands, with what a reader would put in the place of what the page only stands for."""

    def __init__(self, told: Page, shell: Shell) -> None:
        self.page, self.shell = told, shell
        self.status: dict[str, Any] = {}
        """What the page `/status` of the last process that ran beside has answered."""

    def run(self) -> None:
        if needs_broker(self.page) and not any("topics create" in block.text for block in self.page.blocks):
            for line in PRELUDE:
                self._line(
                    line.replace("alphawire.yaml", "shadow.yaml") if "-c shadow.yaml" in self.page.text else line
                )
            self.shell.stop()
        heading = ""
        for block in self.page.blocks:
            if block.heading != heading:
                self.shell.stop()
                heading = block.heading
            if block.saved:
                (self.shell.folder / block.saved).write_text(block.text)
            elif block.language == "sh" and block.not_run is None:
                for line in block.commands:
                    self._line(line)
        self.shell.stop()

    def _line(self, line: str) -> None:
        port = free_port()
        pages = ("WORKER", "NEWS", "TRADES", "GATEWAY")
        self.shell.environment |= {f"ALPHAWIRE_{section}__HTTP_PORT": str(port) for section in pages}
        began = time.monotonic()
        self.shell.run(self._meant(line))
        if "topics create" in line:
            asyncio.run(self._bad_record())
        command = line.partition("alphawire ")[2].partition(" ")[0]
        if command == "broker":
            wait_for(lambda: "listening" in self.shell.log() or "127.0.0.1" in self.shell.log())
        elif command == "gateway":
            wait_for(lambda: self._answers(f"http://127.0.0.1:{port}/health/ready"))
        elif command in UNTIL_STOPPED:
            wait_for(lambda: self._caught_up(port))
        print(f"{time.monotonic() - began:6.1f} s  {line}")

    def _meant(self, line: str) -> str:
        line = line.replace("--port 9092", "--port 0").replace(" --address tcp://10.0.0.5:8786", "")
        line = line.replace("localhost:29092", self.shell.environment.get("ALPHAWIRE_KAFKA__BOOTSTRAP", ""))
        if "0:17" in line:
            line = line.replace("0:17", self._letter())
        if "3f9c2a71d0" in line:
            line = line.replace("3f9c2a71d0", self._signal(line)[:10])
        return line

    def _config(self) -> Config:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.shell.environment.items():
                patch.setenv(name, value)
            return load_config(self.shell.folder / "alphawire.yaml")

    async def _bad_record(self) -> None:
        kafka = self._config().kafka
        async with open_producer(kafka) as producer:
            value = json.dumps(BAD_BAR).encode()
            home = partition_of(b"BAC", kafka.partitions, kafka.partitioner)
            await producer.send_and_wait(
                topic_name(kafka, "bars"), value, b"BAC", home, timestamp_ms=BAD_BAR["close_time"]
            )

    def _records(self, topic: str) -> list[Any]:
        kafka = self._config().kafka

        async def read() -> list[Any]:
            name, found = topic_name(kafka, topic), []
            for partition in range(kafka.partitions):
                found += [record async for record in read_partition_to_end(kafka, name, partition)]
            return found

        return asyncio.run(read())

    def _letter(self) -> str:
        letters = [record for record in self._records("dead-letters") if record.value is not None]
        return f"{letters[0].partition}:{letters[0].offset}"

    def _signal(self, line: str) -> str:
        if file := re.search(r"--file (\S+)", line):
            signals = (self.shell.folder / file[1]).read_bytes().splitlines()
        else:
            signals = [record.value for record in self._records("signals")]
        found: str = json.loads(signals[len(signals) // 2])["content"]["id"]
        return found

    def _answers(self, url: str) -> Any:
        """What the process that was started last answers; None while it does not."""
        assert self.shell.beside[-1][1].returncode is None, self.shell.log()
        try:
            with urllib.request.urlopen(url, timeout=deadline(5)) as answer:
                return json.load(answer)
        except OSError:
            return None

    def _caught_up(self, port: int) -> bool:
        """It has dealt with all that is on the log."""
        if not (status := self._answers(f"http://127.0.0.1:{port}/status")):
            return False
        self.status = status
        topics = [self.status, self.status.get("predictions", {"partitions": {}})]
        lags = [one["lag"] for topic in topics for one in topic["partitions"].values()]
        return bool(lags) and not any(lag is None or lag for lag in lags)


def marks(told: Page) -> list[pytest.MarkDecorator]:
    slow = [] if told.name in QUICK else [pytest.mark.slow]
    return [*slow, pytest.mark.broker] if needs_broker(told) else slow


@pytest.mark.parametrize("story", [pytest.param(one, id=one.name, marks=marks(one)) for one in STORIES])
def test_the_commands_of_a_page_run_in_its_order(story: Page, shell: Shell) -> None:
    told = Story(story, shell)
    told.run()
    for block in story.blocks_in("json"):
        if block.heading == "Status":
            shown = json.loads(block.text)
            assert shown.keys() == told.status.keys()
            assert shown["partitions"]["0"].keys() == told.status["partitions"]["0"].keys()
            assert shown["counts"].keys() == told.status["counts"].keys()
