"""The worker's read-only pages: the plugins that it has."""

from typing import Any

import msgspec

from plugins.listing import entries

PAGES = {
    "/features/plugins/available": ("features", "plugins"),
    "/models/plugins/available": ("models", "plugins"),
    "/signals/plugins/available": ("signals", "plugins"),
    "/backtests/engines/available": ("engines", "engines"),
}


def keys(category: str) -> list[str]:
    """Sorted keys of the plugins of `category`."""
    return sorted(entry.key for entry in entries() if entry.category == category)


def add_pages(app: Any) -> None:
    """``GET /features/plugins/available`` and its like: ``{"plugins": [keys]}``; ``GET /plugins``: every entry."""
    for path, (category, name) in PAGES.items():
        _add_page(app, path, category, name)

    @app.page("/plugins", name="plugins")  # type: ignore[untyped-decorator]
    async def everything(view: Any, request: Any) -> Any:
        return view.json({"plugins": msgspec.to_builtins(entries())})


def _add_page(app: Any, path: str, category: str, name: str) -> None:
    async def page(view: Any, request: Any) -> Any:
        return view.json({name: keys(category)})

    app.page(path, name=f"{category}-available")(page)
