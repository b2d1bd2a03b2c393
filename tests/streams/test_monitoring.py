"""Metrics of real workers, a real Prometheus that scrapes them, and the alert rules under its own clock."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from schemas.configuration import Config, load_config
from schemas.wire import encode
from schemas.wire.news import Article
from schemas.wire.trades import Trade
from streams.ingest.article_files import produce_news
from streams.ingest.produce import produce_bars
from streams.kafka.brokers import ApacheKafkaBroker, TansuBroker
from streams.kafka.brokers.probe import free_port
from streams.kafka.clients import open_producer
from streams.kafka.partitioner import partition_of
from streams.kafka.topics import create_topics, topic_name
from streams.process.durations import Histogram
from tests.support.deadlines import deadline
from tests.support.forked import Forked
from tests.support.live import WorkerProcess, minute_bars, records, wait_for, write_config

DEPLOY = Path(__file__).parents[2] / "deploy"
SCENARIOS = Path(__file__).parents[1] / "data" / "monitoring" / "alerts_test.yml"
DOCS = Path(__file__).parents[2] / "docs" / "monitoring.md"


@pytest.fixture(autouse=True)
def _prometheus() -> None:
    if shutil.which("prometheus") and shutil.which("promtool"):
        return
    if os.environ.get("CI"):
        pytest.fail("prometheus and promtool are not on this machine (apt-get install prometheus)")
    pytest.skip("prometheus is not on this machine (apt-get install prometheus)")


def promtool(*words: str, folder: Path) -> str:
    done = subprocess.run(["promtool", *words], cwd=folder, capture_output=True, text=True, timeout=deadline(30))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_each_alert_fires_within_its_bound_and_resolves(tmp_path: Path) -> None:
    shutil.copytree(DEPLOY / "prometheus", tmp_path, dirs_exist_ok=True)
    shutil.copy(SCENARIOS, tmp_path)
    promtool("check", "config", "prometheus.yml", folder=tmp_path)
    promtool("test", "rules", SCENARIOS.name, folder=tmp_path)
    rules = yaml.safe_load((tmp_path / "alerts.yml").read_text())["groups"][0]["rules"]
    tried = {
        case["alertname"]
        for test in yaml.safe_load(SCENARIOS.read_text())["tests"]
        for case in test["alert_rule_test"]
        if case["exp_alerts"]
    }
    documented = set(re.findall(r"^\| `(Alphawire\w+)`", DOCS.read_text(), re.MULTILINE))
    assert tried == {rule["alert"] for rule in rules} == documented


class Prometheus:
    """One that scrapes `targets`, by the rules that are shipped."""

    def __init__(self, folder: Path, targets: list[str]) -> None:
        self.port = free_port()
        folder.mkdir()
        shutil.copy(DEPLOY / "prometheus" / "alerts.yml", folder)
        config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        (job,) = config["scrape_configs"]
        del job["dns_sd_configs"]
        job["static_configs"] = [{"targets": targets}]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        self.log = (folder / "log").open("wb")
        self.process = subprocess.Popen(
            [
                "prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data",
                f"--web.listen-address=127.0.0.1:{self.port}",
            ],
            cwd=folder, stdout=self.log, stderr=self.log,
        )  # fmt: skip

    def query(self, text: str) -> list[Any]:
        url = f"http://127.0.0.1:{self.port}/api/v1/query?{urllib.parse.urlencode({'query': text})}"
        try:
            with urllib.request.urlopen(url, timeout=deadline(10)) as answer:
                return list(json.load(answer)["data"]["result"])
        except OSError:
            return []


@contextmanager
def scraping(folder: Path, targets: list[str]) -> Iterator[Prometheus]:
    server = Prometheus(folder, targets)
    try:
        yield server
    finally:
        server.process.kill()
        server.process.wait()
        server.log.close()


async def send(config: Config, values: list[bytes], topic: str = "bars", partition: int = 0) -> None:
    async with open_producer(config.kafka) as producer:
        for value in values:
            await producer.send_and_wait(topic_name(config.kafka, topic), value, b"A", partition=partition)


def metrics(port: int) -> dict[str, float]:
    """Every sample of a service's page, by name and labels; none while nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=deadline(10)) as page:
            text = page.read().decode()
    except OSError:
        return {}
    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def sample(of: dict[str, float], name: str, **labels: str) -> float:
    return of.get(f"alphawire_{name}{sorted(labels.items())}", -1.0)


def test_queries_alerts_and_counters(tmp_path: Path, kafka: ApacheKafkaBroker) -> None:
    """Every query of the dashboard and of the rules has data from live workers; a kill is an alert, and resolves; what
    a worker says that it wrote is what is on the topics.
    """
    file = tmp_path / "monitoring.yaml"
    config = write_config(file, kafka.bootstrap, "monitoring.", http=True, http_port=free_port())
    asyncio.run(create_topics(config.kafka))
    target = f"127.0.0.1:{config.worker.http_port}"
    with scraping(tmp_path / "prometheus", [target]) as prometheus:
        with WorkerProcess(file) as worker:
            # the counters are seen at zero first: of what was there at the first look there is no rate
            wait_for(lambda: prometheus.query("alphawire_ready == 1"), 120)
            asyncio.run(produce_bars(config.kafka, minute_bars(2_000)))
            asyncio.run(send(config, [b"no bar", b"no bar either"]))
            wait_for(lambda: prometheus.query("sum(alphawire_partition_published_offset) >= 2002"), 120)
            dashboard = json.loads((DEPLOY / "grafana" / "dashboards" / "alphawire.json").read_text())
            queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
            without: list[str] = queries

            def all_have_data() -> bool:  # all at once: a rate is above zero for a minute after the last bar
                nonlocal without
                without = [query for query in without if not prometheus.query(query)]
                return not without

            wait_for(all_have_data, 60)
            page = metrics(config.worker.http_port)
            topic = Counter(json.loads(record.value)["content"]["signal"] for record in records(config, "signals"))
            assert sum(topic.values()) == 2_000
            for decision in ("BUY", "SELL", "HOLD", "FLAT"):
                assert sample(page, "signals_total", strategy="demo", decision=decision) == topic[decision]
            assert sample(page, "records_total", stream="bars", outcome="accepted") == 2_000
            assert sample(page, "records_total", stream="bars", outcome="dead_letter") == 2
            assert sample(page, "dead_letters_total", reason="undecodable") == len(records(config, "dead-letters")) == 2
            assert sample(page, "read_to_acknowledged_seconds_count", stream="bars") == 2_002
            assert sample(page, "bar_stage_seconds_count", stage="features") == 2_000
            assert sample(page, "ready") == 1
            said = {name.split("[")[0] for name in page if name.startswith("alphawire")}
            names = {re.sub("_(bucket|sum|count)$", "", name) for name in said}
            listed = set(re.findall(r"`(alphawire_\w+)`", DOCS.read_text()))
            assert names - listed == set()
            assert {name for name in listed - names if not name.startswith("alphawire_gateway_")} == {
                "alphawire_bars_built_total", "alphawire_scores_total", "alphawire_unready_condition",
            }  # fmt: skip
            worker.kill()
            wait_for(lambda: prometheus.query('ALERTS{alertname="AlphawireServiceDown", alertstate="firing"}'), 60)
        with WorkerProcess(file):
            wait_for(lambda: not prometheus.query('ALERTS{alertname="AlphawireServiceDown"}'), 60)
            wait_for(lambda: metrics(config.worker.http_port).get("alphawire_ready[]") == 1, 120)
            # nothing was left to do: a new process counts what it writes itself
            assert sample(metrics(config.worker.http_port), "signals_total", strategy="demo", decision="BUY") == 0


def test_the_builder_and_the_scorer(tansu: TansuBroker, tmp_path: Path) -> None:
    """What they count is what they were sent, and what is on their topics."""
    ports = free_port(), free_port()
    sections = {
        "kafka": {"bootstrap": tansu.bootstrap, "prefix": "made.", "group": "made", "partitions": 2},
        "news": {"scorer": "lexicon", "http_port": ports[0]},
        "trades": {"bars": ["tick:5"], "http_port": ports[1]},
    }
    file = tmp_path / "made.yaml"
    file.write_text(yaml.safe_dump(sections))
    config = load_config(file)
    asyncio.run(create_topics(config.kafka))
    asyncio.run(produce_news(config.kafka, [Article("a", 1_700_000_000_000, ["BAC", "C"], "Profit rises")]))
    trades = [encode(Trade("A", 1_700_000_000_000 + n, 10.0, 1.0, str(n))) for n in range(12)]
    asyncio.run(send(config, [*trades, b"no trade"], "trades", partition_of(b"A", 2, "murmur2")))
    services = [Forked(name, "-c", str(file), log=tmp_path / name) for name in ("bars", "scorer")]
    try:
        scored = wait_for(lambda: (page := metrics(ports[0])).get("alphawire_scores_total[]") == 2 and page)
        built = wait_for(
            lambda: (page := metrics(ports[1])).get("alphawire_bars_built_total[('interval', 'tick:5')]") == 2 and page
        )
        assert sample(scored, "records_total", stream="news", outcome="accepted") == 1
        assert sample(scored, "ready") == 1
        assert sample(built, "records_total", stream="trades", outcome="accepted") == 12
        wait_for(lambda: sample(metrics(ports[1]), "dead_letters_total", reason="undecodable") == 1)
        assert len(records(config, "bars")) == 2
    finally:
        for service in services:
            service.kill()


def test_a_histogram_says_how_many_were_short_enough() -> None:
    histogram = Histogram()
    for milliseconds in range(1, 101):
        histogram.add(milliseconds / 1000, 2)
    short, half, longer = histogram.up_to([0.0005, 0.05, 1.0])
    assert (short, longer, histogram.count) == (0, 200, 200)
    assert abs(half - 100) <= 6
    assert histogram.total == pytest.approx(2 * sum(range(1, 101)) / 1000)
