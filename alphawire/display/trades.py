"""A bar and the trades that made it, as text."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backtest.verify.bar_trades import ExplainedBar


def bar_text(found: "ExplainedBar") -> str:
    """The bar, its trades by time, and whether the topic has it."""
    bar = found.bar
    of = f"{len(found.trades)} trades" if found.price_of is None else f"no trades, at the price of {found.price_of}"
    lines = [
        f"{bar['symbol']} {bar['interval']}  {_time(bar['open_time'])} to {_time(bar['close_time'])}",
        "  " + "  ".join(f"{name} {bar[name]:g}" for name in ("open", "high", "low", "close", "volume")),
        f"  of {of}; trades/{found.partition} offset {found.closed_by} closed it",
    ]
    for trade in found.trades:
        name = f"  id {trade['id']}" if trade["id"] is not None else ""
        values = f"{trade['price']:>14.10g} x {trade['size']:<12.10g} {trade['side']}"
        lines.append(f"  {trade['offset']:>10}  {_time(trade['time'])}  {values}{name}")
    lines.append("published: equal to the byte" if found.published else "NOT published as these trades give it")
    return "\n".join(lines)


def _time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
