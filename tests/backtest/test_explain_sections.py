"""`explain` of signals that were decided together: a run's are reproduced to the byte, and what was tampered with, of
the predictions, the closing or the configuration, is named.
"""

import asyncio
import itertools
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from alphawire.cli import main
from alphawire.commands.research.verify import describe
from backtest.explain.explain import Explanation, check_document, explain_many
from backtest.explain.first_difference import FirstDifference
from backtest.verify.verify import verify
from schemas.configuration import Config
from schemas.wire import Signal
from streams.ingest.produce import produce_bars
from streams.kafka.brokers import TansuBroker
from streams.kafka.clients import open_producer
from streams.kafka.topics import create_topics, topic_name
from tests.streams.test_cross_sections_live import in_time, ranking
from tests.support.live import SignalCount, WorkerProcess, records, topics_and_bars, wait_for, write_config

EVERY = in_time(3_000)
SYMBOLS = sorted(EVERY["symbol"].unique())
BARS = EVERY[EVERY.groupby("close_time")["symbol"].transform("size") == len(SYMBOLS)].iloc[: 40 * len(SYMBOLS)]
LAST = sorted(BARS["close_time"].unique())[-4]
LATE = SYMBOLS[0]
TOPICS = ("bars", "predictions", "signals", "state", "control")
_numbers = itertools.count(1)
Alter = Callable[[dict[str, Any]], Any]


class Ran:
    """A run of a worker; the bars of one symbol came late in its last minutes."""

    def __init__(self, folder: Path, tansu: TansuBroker) -> None:
        self.file, self.folder = folder / "a.yaml", folder
        self.config = write_config(self.file, tansu.bootstrap, "sections.", {"ranked": ranking(SYMBOLS)})
        held = (BARS["symbol"] == LATE) & (BARS["close_time"] > LAST)
        topics_and_bars(self.config, BARS[~held])
        signals = SignalCount(self.config)
        with WorkerProcess(self.file) as worker:
            wait_for(lambda: signals() == (~held).sum())
            asyncio.run(produce_bars(self.config.kafka, BARS[held]))
            wait_for(lambda: signals() == len(BARS))
            assert worker.stop() == 0
        told = [msgspec.json.decode(record.value, type=Signal) for record in records(self.config, "signals")]
        self.signals = {(s.content.symbol, s.content.time): s for s in told}

    def id_of(self, symbol: str, time: int) -> str:
        return self.signals[symbol, time].content.id

    def copied(self, alter: Callable[[str, dict[str, Any]], bool]) -> Config:
        """The same run on other topics; `alter` changes records in place, and says which."""
        prefix = f"tampered{next(_numbers)}."
        config = write_config(
            self.folder / f"{prefix}yaml", self.config.kafka.bootstrap, prefix, {"ranked": ranking(SYMBOLS)}
        )
        asyncio.run(self._copy(config, alter))
        return config

    async def _copy(self, config: Config, alter: Callable[[str, dict[str, Any]], bool]) -> None:
        await create_topics(config.kafka)
        old, new = self.config.kafka.prefix.encode(), config.kafka.prefix.encode()
        async with open_producer(config.kafka) as producer:
            for name in TOPICS:
                for record in await asyncio.to_thread(records, self.config, name):
                    value = record.value.replace(old, new)
                    plain = json.loads(value)
                    if alter(name, plain):
                        value = msgspec.json.encode(plain)
                    key = record.key and record.key.replace(old, new)
                    await producer.send(topic_name(config.kafka, name), value, key, record.partition)


@pytest.fixture(scope="module")
def ran(tansu: TansuBroker, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return Ran(tmp_path_factory.mktemp("sections"), tansu)


def test_all_signals_of_a_run_are_reproduced(ran: Ran) -> None:
    found = explain_many(ran.config, [signal.content.id for signal in ran.signals.values()])
    assert len(found) == len(BARS)
    assert all(one.reproduced for one in found), next(one for one in found if not one.reproduced)
    for one in found:
        content, section = one.published["content"], one.section
        assert section is not None
        assert [row["symbol"] for row in section["symbols"]] == SYMBOLS
        assert one.prediction == one.columns["rsi"] == content["prediction"]
        assert one.bars[-1]["close_time"] == content["time"]
        late = content["symbol"] == LATE and content["time"] > LAST
        assert section["late"] == ([LATE] if content["time"] > LAST else [])
        if late:
            assert content["reason"].startswith("late: ")
            assert LATE in section["closing"]["missing"]
        elif content["prediction"] is not None:
            assert content["reason"].startswith(f"rank {section['rank']} of {section['ranked']}: ")
            assert section["ranked"] == sum(row["rank"] is not None for row in section["symbols"])


TIMES = sorted(BARS["close_time"].unique().tolist())
FIRST = 20
"""Of the times at which something is altered: there all four have a rank."""
MINE, OTHER = SYMBOLS[1], SYMBOLS[2]


@dataclass(frozen=True)
class Tampered:
    """One record altered; `field` is what must be named then of the signal of `MINE` at that time."""

    topic: str
    alter: Alter
    field: str
    symbol: str | None = None
    at: int | None = None

    def is_it(self, topic: str, plain: dict[str, Any], time: int) -> bool:
        content = plain.get("content", plain)
        when = content.get("close_time", content.get("time"))
        mine = topic != "predictions" or plain["kind"] == ("prediction" if self.symbol else "closing")
        return mine and (topic, when, content.get("symbol")) == (self.topic, time, self.symbol)


def closing(alter: Alter, field: str) -> Tampered:
    return Tampered("predictions", alter, f"closing.{field}")


CASES = {
    "settings": closing(lambda c: c["signal"]["params"].update(top_n=2), "signal.params.top_n"),
    "plugin": closing(lambda c: c["signal"].update(key="signal.portfolio", params={}), "signal.key"),
    "weight": closing(lambda c: c["execution"].update(weight=0.7), "execution.weight"),
    "hash": closing(lambda c: c.update(config_hash="0" * 64), "config_hash"),
    "one left out": closing(lambda c: c["members"].pop(), "members"),
    "one invented": closing(lambda c: c["members"].append("ZZZ"), "members"),
    "one has left": closing(lambda c: c.update(members=c["members"][1:], left=c["members"][:1]), "members"),
    "one missing": closing(lambda c: c.update(missing=["ZZZ"]), "missing"),
    "expected": closing(lambda c: c.update(expected=99), "expected"),
    "another time": closing(lambda c: c.update(time=c["time"] + 1), "time"),
    "its prediction": Tampered(
        "predictions", lambda p: p.update(prediction=1.5), f"predictions.{MINE}.prediction", MINE
    ),
    "another's prediction": Tampered(
        "predictions", lambda p: p.update(prediction=1.5), f"predictions.{OTHER}.prediction", OTHER
    ),
    "signal": Tampered("signals", lambda s: s["content"].update(weight=0.5), "content.weight", MINE),
    "bar": Tampered(
        "bars", lambda b: b.update(close=b["low"], open=b["low"]), f"predictions.{OTHER}.prediction", OTHER, at=-2
    ),
    "never closed": Tampered("predictions", lambda c: c.update(time=0), "closing", at=-1),
}  # fmt: skip
"""Each at a time of its own, so that one copy of the run has them all."""


def time_of(name: str) -> int:
    at = CASES[name].at
    return int(TIMES[FIRST + list(CASES).index(name) if at is None else at])


@pytest.fixture(scope="module")
def altered(ran: Ran) -> Config:
    """A copy of the run with all of `CASES`."""
    done: set[str] = set()

    def alter(topic: str, plain: dict[str, Any]) -> bool:
        for name, case in CASES.items():
            if name not in done and case.is_it(topic, plain, time_of(name)):
                case.alter(plain)
                done.add(name)
                return True
        return False

    config = ran.copied(alter)
    assert done == set(CASES)
    return config


@pytest.fixture(scope="module")
def tampered(ran: Ran, altered: Config) -> dict[int, Explanation]:
    """The signals of `MINE` of the altered run, by time."""
    found = explain_many(altered, [ran.id_of(MINE, time) for time in TIMES])
    return dict(zip(TIMES, found, strict=True))


@pytest.mark.parametrize("name", CASES)
def test_what_was_tampered_with_is_named(tampered: dict[int, Explanation], name: str) -> None:
    found = tampered[time_of(name)]
    assert not found.reproduced
    assert found.difference is not None
    assert found.difference.field == CASES[name].field
    if name == "never closed":
        assert "still open" in (found.fault or "")


def test_nothing_else_is_named(tampered: dict[int, Explanation]) -> None:
    others = set(TIMES) - set(map(time_of, CASES))
    assert len(others) > 15
    assert all(tampered[time].reproduced for time in others)


def test_both_values_are_told(ran: Ran, tampered: dict[int, Explanation]) -> None:
    time = time_of("another's prediction")
    was = ran.signals[OTHER, time].content.prediction
    assert tampered[time].difference == FirstDifference(f"predictions.{OTHER}.prediction", 1.5, was)


def test_verify_counts_what_is_not_closed(ran: Ran, altered: Config) -> None:
    verdict, whole = verify(altered, "ranked"), verify(ran.config, "ranked")
    assert (verdict.open, verify(altered, "ranked", end=TIMES[-1]).open, whole.open) == (len(SYMBOLS), 0, 0)
    assert whole.ok
    told = f"{len(SYMBOLS)} predictions are of cross-sections that are not closed yet, and have no signals"
    assert told in describe(verdict)
    assert "not closed" not in describe(whole)


def test_a_tampered_configuration_is_named(ran: Ran) -> None:
    """Every record of what was in force tells another setting under the same hash."""

    def alter(topic: str, plain: dict[str, Any]) -> bool:
        if topic == "control" and "config_hash" in plain:
            plain["config"]["signal"]["params"].update(top_n=2)
            return True
        return False

    (found,) = explain_many(ran.copied(alter), [ran.id_of(MINE, TIMES[FIRST])])
    assert found.difference == FirstDifference("configuration.signal.params.top_n", 2, 1)


def test_the_page(ran: Ran, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    symbol, time = MINE, int(TIMES[FIRST])

    def command(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["alphawire", "explain", *arguments, "-c", str(ran.file)])
        with pytest.raises(SystemExit) as end:
            main()
        return int(end.value.code or 0)

    assert command(ran.id_of(symbol, time)) == 0
    page = capsys.readouterr().out
    for said in (
        "reproduced: what was published",
        "decided about",
        "members of",
        "symbols of this time",
        f"{symbol} *",
    ):
        assert said in page
    late = int(BARS["close_time"].max())
    assert command(ran.id_of(LATE, late)) == 0
    page = capsys.readouterr().out
    assert f"late           {LATE}" in page
    assert f"missing        {LATE}" in page
    assert command(ran.id_of(symbol, time), "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert check_document(document, explain_many(ran.config, [document["id"]])[0]) is None
