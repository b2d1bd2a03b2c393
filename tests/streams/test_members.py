"""Workers of one group that are configured differently name each other. By hand: what differs."""

import asyncio
import json
import logging
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from backtest.verify.verify import verify
from schemas.configuration import Kafka, load_config
from streams.ingest.produce import produce_bars
from streams.kafka.brokers import TansuBroker
from streams.kafka.brokers.probe import free_port
from streams.kafka.topics import create_topics
from streams.service.members import GroupMember, GroupMembers, read_member, this_worker
from tests.support.live import SignalCount, WorkerProcess, minute_bars, strategy, wait_for, write_config
from tests.support.memory import ready

OTHER = {"signal": {"key": "signal.threshold", "buy_threshold": 55.0, "sell_threshold": 45.0}}


@pytest.mark.parametrize("name", ["host-1", "host.example.org-77", "a b/c?d=e&f#g%20-1", "büro-9", "[::1]-3"])
def test_what_a_worker_says_of_itself_comes_back(name: str) -> None:
    """Also through the library by which Faust keeps and compares it."""
    member = GroupMember(name, {"strategies.demo": "41c0", "strategies.x.y_z-1": "a&b=c", "kafka.partitioner": "as_is"})
    url = member.url()
    assert read_member(url) == member
    assert read_member(str(URL(url))) == member
    assert str(URL(str(URL(url)))) == str(URL(url))
    assert member.url() != url


def test_a_worker_of_an_earlier_version_says_nothing() -> None:
    assert read_member("alphawire://0f1e2d3c-0000-4000-8000-000000000000") is None
    assert GroupMembers(GroupMember("me-1", {"a": "1"})).differing(["alphawire://0f1e2d3c"]) == {}


def test_a_worker_on_topics_of_another_prefix_is_no_matter() -> None:
    mine, theirs = (this_worker(Kafka(prefix=prefix, partitioner=by), [], exactly_once=True) for prefix, by in
                    (("a.", "murmur2"), ("b.", "crc32")))  # fmt: skip
    other = this_worker(Kafka(prefix="a.", partitioner="crc32"), [], exactly_once=True)
    assert GroupMembers(mine).differing([theirs.url()]) == {}
    assert list(GroupMembers(mine).differing([theirs.url(), other.url()])) == [other.name]


ONCE, LEAST = {"kafka.delivery": "exactly_once"}, {"kafka.delivery": "at_least_once"}


@pytest.mark.parametrize(
    ("there", "found"),
    [
        ({"strategies.demo": "a"} | ONCE, {}),
        ({"strategies.demo": "b"} | ONCE, {"strategies.demo": ["b", "a"]}),
        ({"strategies.demo": "a"} | LEAST, {"kafka.delivery": ["at_least_once", "exactly_once"]}),
        (ONCE, {"strategies.demo": [None, "a"]}),
        ({"strategies.demo": "a", "strategies.new": "n"} | ONCE, {"strategies.new": ["n", None]}),
    ],
    ids=["alike", "a strategy", "delivery", "one that is missing there", "one that is missing here"],
)
def test_what_differs(there: dict[str, str], found: dict[str, list[str | None]]) -> None:
    own = GroupMember("me-1", {"strategies.demo": "a", "kafka.delivery": "exactly_once"})
    assert GroupMembers(own).differing([own.url(), GroupMember("you-2", there).url()]) == (
        {"you-2": found} if found else {}
    )


def test_each_difference_is_logged_once_and_its_end_too(caplog: pytest.LogCaptureFixture) -> None:
    own, other = GroupMember("me-1", {"a": "1"}), GroupMember("you-2", {"a": "2" * 64})
    members = GroupMembers(own)
    with caplog.at_level(logging.INFO):
        for urls in ([own.url()], [own.url(), other.url()], [own.url(), other.url()], [own.url()], [own.url()]):
            members.look(urls)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "the worker you-2 of this group is configured otherwise: a is 222222222222, and 1 in this one" in caplog.text


def test_what_signals_depend_on_is_said() -> None:
    said = this_worker(Kafka(partitioner="crc32"), [ready("one"), ready("two", **OTHER)], exactly_once=False).settings
    assert said == {
        "strategies.one": ready("one").config_hash,
        "strategies.two": ready("two", **OTHER).config_hash,
        "kafka.prefix": "",
        "kafka.partitioner": "crc32",
        "kafka.delivery": "at_least_once",
    }
    # what does not change a signal may differ between machines
    again = this_worker(
        Kafka(bootstrap="elsewhere:1", partitioner="crc32"), [ready("one"), ready("two", **OTHER)], False
    )
    assert again.settings == said


def group(port: int) -> Any:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/status") as answer:
            return json.load(answer)["group"]
    except (OSError, ValueError):
        return {"members": 0, "differing": {}}


def test_two_workers_name_each_other_through_a_rolling_deployment(tansu: TansuBroker, tmp_path: Path) -> None:
    """One goes on as it was while the other has a new threshold, then both have it; what they publish is verified."""
    bars = minute_bars(120)
    file, changed, ports = tmp_path / "old.yaml", tmp_path / "new.yaml", [free_port(), free_port()]
    write_config(file, tansu.bootstrap, "rolling.", {"demo": strategy()}, http=True)
    write_config(changed, tansu.bootstrap, "rolling.", {"demo": strategy(**OTHER)}, http=True)
    config = load_config(changed)
    asyncio.run(create_topics(config.kafka))
    signals = SignalCount(config)
    options = [("--http-port", str(port)) for port in ports]
    logs = [tmp_path / f"{number}.log" for number in (0, 1, 2)]
    with (
        WorkerProcess(file, *options[0], log=logs[0]) as first,
        WorkerProcess(changed, *options[1], log=logs[1]) as other,
    ):
        wait_for(lambda: all(group(port)["differing"] for port in ports))
        names = [group(port)["worker"] for port in ports]
        assert [list(group(port)["differing"]) for port in ports] == [[name] for name in names[::-1]]
        assert [list(group(port)["differing"][name]) for port, name in zip(ports, names[::-1], strict=True)] == [
            ["strategies.demo"]
        ] * 2
        asyncio.run(produce_bars(config.kafka, bars.iloc[:60]))
        wait_for(lambda: signals() == 60)
        assert first.stop() == 0
        with WorkerProcess(changed, *options[0], log=logs[2]) as second:
            wait_for(lambda: all(group(port)["members"] == 2 and not group(port)["differing"] for port in ports))
            asyncio.run(produce_bars(config.kafka, bars.iloc[60:]))
            wait_for(lambda: signals() == len(bars))
            assert (second.stop(), other.stop()) == (0, 0)
    said = [log.read_text() for log in logs]
    assert [f"the worker {name} of this group is configured otherwise: strategies.demo is" in text for name, text in
            zip(names[::-1], said, strict=False)] == [True, True]  # fmt: skip
    assert "all workers of the group are configured alike again" in said[1]
    verdict = verify(config, "demo")
    assert verdict.ok, verdict.differences[:2]
    assert verdict.equal == len(bars)
