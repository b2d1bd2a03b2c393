"""The worker's read-only pages: the plugins that it has, how it stands, and whether it is fit to work."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from aiohttp import web
from faust.web.base import BlueprintManager

from plugins.base.loading.listing import entries
from streams.owners.cross_section_owner import CrossSectionOwner
from streams.owners.cross_section_partition import CrossSectionPartition
from streams.owners.partition import Partition
from streams.owners.worker import Worker
from streams.service.health import standings, unready

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


def status(app: Any, worker: Worker) -> dict[str, Any]:
    """How far each partition is that the worker owns (offsets, each the next one), and what became of the records that
    it read since it started.
    """
    totals = worker.totals()
    lags = {name: {one.number: one.lag for one in some} for name, some in standings(app, worker).items()}
    return {
        "version": worker.version,
        "strategies": sorted(strategy.name for strategy in worker.strategies),
        "exactly_once": worker.factory.exactly_once,
        "partitions": {
            str(number): {
                "position": part.position,
                "published": part.published,
                "marked": part.marked,
                "lag": lags["bars"][number],
                **_in_force(part),
                "failed": _failed(worker.parts(number)),
            }
            for number, part in sorted(worker.partitions.items())
        },
        "shadows": worker.shadows.standing(),
        "counts": {name: totals[name] for name in COUNTS},
        **_gathered(app.gatherer, lags),
    }


def _gathered(gatherer: CrossSectionOwner | None, lags: Mapping[str, Mapping[int, int | None]]) -> dict[str, Any]:
    """The same of the partitions on which cross-sections are gathered."""
    if gatherer is None:
        return {}
    partitions = {
        str(number): {
            "position": part.position,
            "published": part.published,
            "marked": part.marked,
            "lag": lags["predictions"][number],
            "failed": _failed([part]),
        }
        for number, part in sorted(gatherer.partitions.items())
    }
    return {"predictions": {"partitions": partitions, "counts": dict(sorted(gatherer.totals().items()))}}


def _in_force(part: Partition) -> dict[str, Any]:
    """By strategy the SHA-256 of its model (none: its prediction is a feature's column); and those that are paused."""
    applied = sorted(part.plan.applied.items())
    return {
        "models": {name: entry.model.sha256 if entry.model else None for name, entry in applied},
        "paused": [name for name, entry in applied if entry.paused],
    }


def _failed(parts: Sequence[Partition | CrossSectionPartition]) -> dict[str, Any]:
    """By strategy that stopped: at which offset, and why."""
    return {
        name: {"offset": failure.offset, "reason": failure.reason}
        for part in parts
        for name, failure in part.failures.items()
    }


def add_pages(app: Any, worker: Worker) -> None:
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
    async def standing(view: Any, request: Any) -> Any:
        return view.json(status(app, worker))

    @app.page("/health/live", name="live")  # type: ignore[untyped-decorator]
    async def live(view: Any, request: Any) -> Any:
        """That the event loop answers is what it tells."""
        return view.json({"live": True})

    @app.page("/health/ready", name="ready")  # type: ignore[untyped-decorator]
    async def ready(view: Any, request: Any) -> Any:
        failed = unready(app, worker)
        return view.json({"ready": not failed, "failed": failed}, status=503 if failed else 200)


def _add_page(app: Any, path: str, category: str, name: str) -> None:
    async def page(view: Any, request: Any) -> Any:
        return view.json({name: keys(category)})

    app.page(path, name=f"{category}-available")(page)
