"""Signals as records, made by hand."""

from schemas.wire import Origin, Provenance, Signal, SignalContent, encode


def signal_record(strategy: str, symbol: str, minute: int) -> bytes:
    """A valid record of `signals` for the bar that closes at this minute of 1970."""
    time, name = 60_000 * minute, f"{strategy}-{symbol}-{minute}"
    content = SignalContent(name, strategy, symbol, time, "HOLD", None, "by hand", 0.5, None, "c0", 0, time + 60_000)
    return encode(Signal(content, Provenance("bars", 0, minute, None, Origin(0, 0, 0), "test")))
