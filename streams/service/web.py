"""The worker's read-only pages: its plugins, its status, and whether it is fit to work."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from aiohttp import web
from faust.web.base import BlueprintManager

from plugins.base.loading.listing import entries
from streams.owners.bars_owner import BarsOwner
from streams.owners.bars_partition import BarsPartition
from streams.owners.cross_section_owner import CrossSectionOwner
from streams.owners.fed_partition import FedPartition
from streams.service.health import partition_statuses, unready

log = logging.getLogger("alphawire.web")

PAGES = {
    "/features/plugins/available": ("features", "plugins"),
    "/models/plugins/available": ("models", "plugins"),
    "/signals/plugins/available": ("signals", "plugins"),
    "/backtests/engines/available": ("engines", "engines"),
}
COUNTS = ("bars", "signals", "dead_letters", "repeats", "unclosed", "outside_universe", "other_interval", "failed")
"""What is counted of the records read; `failed`: strategies that stopped."""


@web.middleware
async def _guarded(request: web.Request, handler: Any) -> Any:
    """A page that fails tells the log why, and whoever asks nothing of the inside (aiohttp would show the stack of a
    loop in debug mode).
    """
    try:
        return await handler(request)
    except web.HTTPException:
        raise
    except Exception:
        log.exception("the page %s failed", request.path)
        return web.json_response({"error": "this page failed; the worker's log says why"}, status=500)


OPTIONS: dict[str, Any] = {"middlewares": [_guarded], "client_max_size": 1024}
"""Of aiohttp's application. Its parser bounds the request line and each header (8190 bytes), and their number (128)."""


def keys(category: str) -> list[str]:
    """Sorted keys of the plugins of `category`."""
    return sorted(entry.key for entry in entries() if entry.category == category)


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
        "partitions": {
            str(number): _progress(part, lags["bars"]) | _in_force(part) | {"failed": _failed(bars.tracks_of(part))}
            for number, part in sorted(bars.partitions.items())
        },
        "shadows": bars.shadows.status(),
        "counts": {name: totals[name] for name in COUNTS},
        **_cross_sections(app.cross_sections, lags),
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


def add_pages(app: Any, bars: BarsOwner) -> None:
    """``GET /features/plugins/available`` and its like: ``{"plugins": [keys]}``; ``GET /plugins``: every entry;
    ``GET /status``, ``GET /health/live``, ``GET /health/ready``.
    """
    app.web.blueprints = (
        BlueprintManager()
    )  # none of Faust's own pages: tables, routes, sensors, and a graph by Graphviz
    for path, (category, name) in PAGES.items():
        _add_page(app, path, category, name)

    @app.page("/plugins", name="plugins")  # type: ignore[untyped-decorator]
    async def everything(view: Any, request: Any) -> Any:
        return view.json({"plugins": msgspec.to_builtins(entries())})

    @app.page("/status", name="status")  # type: ignore[untyped-decorator]
    async def status_page(view: Any, request: Any) -> Any:
        return view.json(status(app, bars))

    @app.page("/health/live", name="live")  # type: ignore[untyped-decorator]
    async def live(view: Any, request: Any) -> Any:
        """That the event loop answers is what it tells."""
        return view.json({"live": True})

    @app.page("/health/ready", name="ready")  # type: ignore[untyped-decorator]
    async def ready(view: Any, request: Any) -> Any:
        failed = unready(app, bars)
        return view.json({"ready": not failed, "failed": failed}, status=503 if failed else 200)


def _add_page(app: Any, path: str, category: str, name: str) -> None:
    async def page(view: Any, request: Any) -> Any:
        return view.json({name: keys(category)})

    app.page(path, name=f"{category}-available")(page)
