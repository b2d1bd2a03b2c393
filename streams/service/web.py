"""The worker's read-only pages: its plugins, its status, and whether it is fit to work."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any

import msgspec
from aiohttp import web

from plugins.base.loading.listing import entries
from schemas.wire import PluginEntry
from streams.kafka.topics.status import TopicsWatch
from streams.owners.bars_owner import BarsOwner
from streams.owners.bars_partition import BarsPartition
from streams.owners.cross_section_owner import CrossSectionOwner
from streams.owners.fed_partition import FedPartition
from streams.service.health import partition_statuses, unready
from streams.service.members import GroupMembers
from streams.service.metrics import metrics_page, worker_families
from streams.service.page_server import Page, bytes_response, json_response

PAGES = {
    "/features/plugins/available": ("features", "plugins"),
    "/models/plugins/available": ("models", "plugins"),
    "/signals/plugins/available": ("signals", "plugins"),
    "/backtests/engines/available": ("engines", "engines"),
}
COUNTS = (
    "bars", "signals", "dead_letters", "repeats", "unclosed", "outside_universe", "other_interval", "failed",
    "deleted_unread",
)  # fmt: skip
"""What is counted of the records read; `failed`: strategies that stopped; `deleted_unread`: those that were gone."""


def status(app: Any, bars: BarsOwner) -> dict[str, Any]:
    """How far each partition is that the worker owns (offsets, each the next one), and what became of the records that
    it read since it started.
    """
    totals = bars.totals()
    lags = {kind: {status.number: status.lag for status in own} for kind, own in partition_statuses(app, bars).items()}
    return {
        "version": bars.version,
        "strategies": sorted(strategy.name for strategy in bars.strategies),
        "exactly_once": bars.factory.exactly_once,
        "group": _group(app, bars),
        "partitions": {
            str(number): _progress(part, lags["bars"]) | _in_force(part) | {"failed": _failed(bars.tracks_of(part))}
            for number, part in sorted(bars.partitions.items())
        },
        "shadows": bars.shadows.status(),
        "scattered": bars.places.scattered,
        "counts": {name: totals[name] for name in COUNTS},
        **_cross_sections(app.cross_sections, lags),
    }


def _group(app: Any, bars: BarsOwner) -> dict[str, Any]:
    """The consumer group, this worker's name in it, and the members that are configured otherwise."""
    urls = app.assignor.external_topic_distribution
    members: GroupMembers = app.members
    return {
        "name": bars.config.kafka.group,
        "worker": members.own.name,
        "members": len(urls),
        "differing": members.differing(urls),
    }


def _cross_sections(owner: CrossSectionOwner | None, lags: Mapping[str, Mapping[int, int | None]]) -> dict[str, Any]:
    """The same of the partitions of predictions."""
    if owner is None:
        return {}
    partitions = {
        str(number): _progress(part, lags["predictions"]) | {"failed": _failed([part])}
        for number, part in sorted(owner.partitions.items())
    }
    return {"predictions": {"partitions": partitions, "counts": dict(sorted(owner.totals().items()))}}


def _progress(part: FedPartition, lags: Mapping[int, int | None]) -> dict[str, int | None]:
    return {
        "position": part.position,
        "published": part.published,
        "marked": part.marked,
        "lag": lags[part.number],
    }


def _in_force(part: BarsPartition) -> dict[str, Any]:
    """By strategy the SHA-256 of its model (none: its prediction is a feature's column); and those that are paused."""
    applied = sorted(part.plan.applied.items())
    return {
        "models": {name: entry.model.sha256 if entry.model else None for name, entry in applied},
        "paused": [name for name, entry in applied if entry.paused],
    }


def _failed(parts: Sequence[FedPartition]) -> dict[str, Any]:
    """By strategy that stopped: at which offset, and why."""
    return {
        name: {"offset": failure.offset, "reason": failure.reason}
        for part in parts
        for name, failure in part.failures.items()
    }


def worker_pages(app: Any, bars: BarsOwner, topics: TopicsWatch) -> dict[str, Page]:
    """By path: ``/status``, ``/health/live``, ``/health/ready``, ``/metrics``; ``/features/plugins/available`` and its
    like: ``{"plugins": [keys]}``; ``/plugins``: every entry. The plugins stay as they are, so those bytes are made
    once, when somebody asks.
    """

    def conditions() -> dict[str, str]:
        return topics.unready() | unready(app, bars)

    def ready() -> web.Response:
        failed = conditions()
        return json_response({"ready": not failed, "failed": failed}, 503 if failed else 200)

    listed = cache(entries)
    return {
        "/status": lambda: json_response(status(app, bars)),
        "/health/ready": ready,
        "/health/live": _always(lambda: {"live": True}),
        "/metrics": metrics_page(lambda: worker_families(app, bars, conditions)),
        "/plugins": _always(lambda: {"plugins": listed()}),
        **{path: _always(partial(_keys, listed, category, name)) for path, (category, name) in PAGES.items()},
    }


def _keys(listed: Callable[[], list[PluginEntry]], category: str, name: str) -> dict[str, list[str]]:
    """Sorted keys of the plugins of `category`."""
    return {name: sorted(entry.key for entry in listed() if entry.category == category)}


def _always(value: Callable[[], Any]) -> Page:
    body = cache(lambda: msgspec.json.encode(value()))
    return lambda: bytes_response(body())
