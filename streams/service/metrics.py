"""What a service says to Prometheus: ``GET /metrics``. Everything is read when it is asked for, of what is kept anyway.

Names begin with ``alphawire_``, times are in seconds, and labels are bounded: streams, partitions, strategies, outcomes
and reasons, never symbols. docs/monitoring.md lists them all.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from plugins.base.signal import SIGNALS
from streams.owners.bars_owner import BarsOwner
from streams.owners.chunk_owner import ChunkOwner
from streams.process.durations import Histogram, ServiceDurations
from streams.publishing.tallies import NUMBER
from streams.service.health import PartitionStatus, partition_statuses
from streams.service.page_server import Page

OUTCOMES = {
    "bars": {
        "bars": "accepted", "repeats": "repeated", "unclosed": "unclosed", "not_chosen": "not_chosen",
        "outside_universe": "outside_universe", "other_interval": "other_interval", "dead_letters": "dead_letter",
        "deleted_unread": "deleted_unread",
    },
    "predictions": {
        "cross_sections": "closing", "late_predictions": "late", "unknown_strategy": "unknown_strategy",
        "dead_letters": "dead_letter", "deleted_unread": "deleted_unread",
    },
    "trades": {
        "trades": "accepted", "ticks": "tick", "dead_letters": "dead_letter", "deleted_unread": "deleted_unread",
    },
    "news": {
        "articles": "accepted", "no_symbol": "no_symbol", "dead_letters": "dead_letter",
        "deleted_unread": "deleted_unread",
    },
}  # fmt: skip
"""By stream: what a service counts of the records that it read, and how Prometheus knows it."""
WAITS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds (s) of what a bar waits for: acknowledgements, writes."""
STEPS = (1e-7, 2.5e-7, 5e-7, 1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Upper bounds (s) of what a stage of the pipeline takes for one bar."""

Families = Callable[[], Iterable[Metric]]


class _Service(Collector):
    """The families of one service."""

    def __init__(self, families: Families) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families()

    def describe(self) -> Iterable[Metric]:
        """Nothing: to ask when it is registered would be too early."""
        return ()


def metrics_page(families: Families) -> Page:
    """``/metrics`` in Prometheus' text format: the `families`, the process' memory, time and descriptors, and garbage
    collection.
    """
    registry = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    registry.register(_Service(families))
    return lambda: web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


def worker_families(app: Any, bars: BarsOwner, unready: Callable[[], Mapping[str, str]]) -> Iterator[Metric]:
    """Those of a worker; `unready`: the conditions that fail."""
    owners: list[ChunkOwner[Any, Any]] = [bars, app.cross_sections] if app.cross_sections else [bars]
    yield from owner_families(app, owners)
    yield from readiness(unready())
    yield _info("build", "Version of alphawire.", [{"version": bars.version}])
    yield _signals(bars, owners)
    yield from _strategies(bars, owners)
    yield _newest_bars(bars)
    urls = app.assignor.external_topic_distribution
    yield _gauge("group_members", "Workers of the consumer group.", [((), len(urls))])
    differing = len(app.members.differing(urls))
    yield _gauge("group_members_differing", "Workers of the group that are configured otherwise.", [((), differing)])


def builder_families(
    app: Any, owner: ChunkOwner[Any, Any], unready: Callable[[], Mapping[str, str]]
) -> Iterator[Metric]:
    """Those of a builder of bars."""
    yield from owner_families(app, [owner])
    yield from readiness(unready())
    built = [((key[1],), count) for key, count in sorted(owner.written().items()) if key[0] == "bar"]
    yield _counter("bars_built", "Bars made of trades, acknowledged.", built, ("interval",))


def owner_families(app: Any, owners: list[ChunkOwner[Any, Any]]) -> Iterator[Metric]:
    """Of every service that owns partitions."""
    yield records({owner.kind: owner.totals() for owner in owners})
    letters = sum((owner.written() for owner in owners[1:]), owners[0].written())
    yield dead_letters({key[1]: count for key, count in letters.items() if key[0] == "dead letter"})
    statuses = [(owner.kind, one) for owner in owners for one in partition_statuses(app, owner)[owner.kind]]
    yield from _partitions(statuses)
    counts = [((owner.kind,), owner.partition_count) for owner in owners]
    yield _gauge("stream_partitions", "Partitions of the topic, whoever owns them.", counts, ("stream",))
    ages = [((owner.kind, str(number)), age) for owner in owners for number, age in owner.snapshot_ages().items()]
    yield _gauge("snapshot_age_seconds", "Since the last round of snapshots.", ages, ("stream", "partition"))
    yield from _durations({owner.kind: owner.durations for owner in owners})


def records(totals: Mapping[str, Mapping[str, int]]) -> Metric:
    """By stream: what became of the records that were read."""
    samples = [
        ((stream, outcome), totals[stream].get(name, 0))
        for stream in totals
        for name, outcome in OUTCOMES[stream].items()
    ]
    return _counter("records", "Records read, by what became of them.", samples, ("stream", "outcome"))


def dead_letters(by_reason: Mapping[str, int]) -> Metric:
    """Of all streams of the service."""
    samples = [((reason,), count) for reason, count in sorted(by_reason.items())]
    return _counter("dead_letters", "Dead letters acknowledged, by reason.", samples, ("reason",))


def readiness(failed: Mapping[str, str]) -> Iterator[Metric]:
    """Whether ``/health/ready`` answers 200, and what it says if not."""
    yield _gauge("ready", "1: /health/ready answers 200.", [((), int(not failed))])
    conditions = [((name,), 1) for name in sorted(failed)]
    yield _gauge("unready_condition", "1: the condition of /health/ready fails.", conditions, ("condition",))


def lags(stream: str, lag: Mapping[int, int | None]) -> Metric:
    """By partition."""
    known = [((stream, str(number)), records) for number, records in sorted(lag.items()) if records is not None]
    return _gauge("partition_lag_records", "Records on the log and not dealt with.", known, ("stream", "partition"))


def _partitions(statuses: list[tuple[str, PartitionStatus]]) -> Iterator[Metric]:
    labels = ("stream", "partition")
    places = [((stream, str(one.number)), one) for stream, one in statuses]
    known = [(place, one.lag) for place, one in places if one.lag is not None]
    yield _gauge("partition_lag_records", "Records on the log and not dealt with.", known, labels)
    read = [(place, one.position) for place, one in places]
    yield _gauge("partition_position_offset", "Records before this offset are read.", read, labels)
    published = [(place, one.published) for place, one in places]
    yield _gauge("partition_published_offset", "What records before it led to is on the log.", published, labels)
    restored = [(place, int(one.restored)) for place, one in places]
    yield _gauge("partition_restored", "1: its state is what the log says.", restored, labels)


def _signals(bars: BarsOwner, owners: list[ChunkOwner[Any, Any]]) -> Metric:
    """Zero for each that there may be, so that a rate sees the first one."""
    counts = {(strategy.name, decision): 0 for strategy in bars.strategies for decision in (*SIGNALS, NUMBER)}
    for owner in owners:
        for key, count in owner.written().items():
            if key[0] == "signal":
                counts[key[1], key[2]] = counts.get((key[1], key[2]), 0) + count
    samples = sorted(counts.items())
    return _counter("signals", "Signals acknowledged, by strategy and decision.", samples, ("strategy", "decision"))


def _strategies(bars: BarsOwner, owners: list[ChunkOwner[Any, Any]]) -> Iterator[Metric]:
    labels = ("strategy",)
    failed = dict.fromkeys((strategy.name for strategy in bars.strategies), 0)
    for owner in owners:
        for _, failure in owner.failures():
            failed[failure.strategy] = failed.get(failure.strategy, 0) + 1
    stopped = [((name,), count) for name, count in failed.items()]
    yield _gauge("failed_partitions", "Partitions on which the strategy has failed.", stopped, labels)
    paused = dict.fromkeys(failed, 0)
    models: dict[str, set[str]] = {name: set() for name in failed}
    for part in bars.partitions.values():
        for track in bars.tracks_of(part):
            for name, entry in track.plan.applied.items():
                paused[name] = paused.get(name, 0) + int(entry.paused)
                models.setdefault(name, set()).add(entry.model.sha256[:12] if entry.model else "")
    yield _gauge(
        "paused_partitions", "Partitions on which it is paused.", [((n,), c) for n, c in paused.items()], labels
    )
    yield _info(
        "strategy", "Configuration, and models in force here.",
        [
            {"strategy": strategy.name, "config_hash": strategy.config_hash, "model": model}
            for strategy in bars.strategies
            for model in sorted(models[strategy.name]) or [""]
        ],
    )  # fmt: skip


def _newest_bars(bars: BarsOwner) -> Metric:
    now = bars.wall_clock()
    samples = [
        ((str(number), interval), now - close / 1000)
        for number, part in sorted(bars.partitions.items())
        for interval, close in part.newest_closes().items()
    ]
    text = "Since the close of the newest bar that was accepted."
    return _gauge("newest_bar_age_seconds", text, samples, ("partition", "interval"))


def _durations(durations: Mapping[str, ServiceDurations]) -> Iterator[Metric]:
    acknowledged = {stream: one.acknowledged for stream, one in durations.items()}
    text = "From a record read to what it led to acknowledged."
    yield _histogram("read_to_acknowledged_seconds", text, "stream", acknowledged, WAITS)
    writes = {stream: one.writes for stream, one in durations.items()}
    yield _histogram("write_seconds", "One write; with transactions, one transaction.", "stream", writes, WAITS)
    stages = {stage: histogram for one in durations.values() for stage, histogram in one.bar.stages.items()}
    yield _histogram("bar_stage_seconds", "Of one bar and strategy, by stage.", "stage", stages, STEPS)


def _histogram(
    name: str, text: str, label: str, histograms: Mapping[str, Histogram], bounds: tuple[float, ...]
) -> Metric:
    family = HistogramMetricFamily(f"alphawire_{name}", text, labels=(label,))
    for place, histogram in histograms.items():
        counts = zip(bounds, histogram.up_to(bounds), strict=True)
        buckets = [*((f"{bound:g}", float(count)) for bound, count in counts), ("+Inf", float(histogram.count))]
        family.add_metric((place,), buckets, histogram.total)
    return family


Samples = Iterable[tuple[tuple[str, ...], float | int]]


def _gauge(name: str, text: str, samples: Samples, labels: tuple[str, ...] = ()) -> Metric:
    family = GaugeMetricFamily(f"alphawire_{name}", text, labels=labels)
    for place, value in samples:
        family.add_metric(place, value)
    return family


def _counter(name: str, text: str, samples: Samples, labels: tuple[str, ...]) -> Metric:
    family = CounterMetricFamily(f"alphawire_{name}", text, labels=labels)
    for place, value in samples:
        family.add_metric(place, value)
    return family


def _info(name: str, text: str, values: Iterable[dict[str, str]]) -> Metric:
    family = InfoMetricFamily(f"alphawire_{name}", text, labels=())
    for value in values:
        family.add_sample(f"alphawire_{name}_info", value, 1)
    return family
