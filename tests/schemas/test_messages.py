"""Bars as they come over the wire: what is valid, and what is said of the rest."""

import json
from typing import Any

import msgspec
import pytest

from schemas.errors import BadRecord
from schemas.wire import decode_bar, interval_ms

GOOD = {
    "symbol": "AAPL", "interval": "1m", "open_time": 60_000, "close_time": 120_000,
    "open": 10.0, "high": 11.0, "low": 9.0, "close": 10.5, "volume": 5.0,
}  # fmt: skip


def with_(**changes: Any) -> bytes:
    return json.dumps(GOOD | changes).encode()


def without(name: str) -> bytes:
    return json.dumps({key: value for key, value in GOOD.items() if key != name}).encode()


def text(old: str, new: str) -> bytes:
    """JSON that no encoder would write."""
    assert old in json.dumps(GOOD)
    return json.dumps(GOOD).replace(old, new, 1).encode()


@pytest.mark.parametrize(
    "value",
    [
        with_(),
        with_(closed=True),
        with_(closed=False),
        with_(volume=0),
        with_(open=9.0, high=9.0, low=9.0, close=9.0),
        with_(symbol="BRK.B"),
        with_(symbol="BTC/USD"),
        with_(symbol="Ünï😀"),
        json.dumps(GOOD | {"symbol": "東証7203"}, ensure_ascii=False).encode(),
        with_(symbol="A" * 64),
        with_(interval="1h", close_time=3_660_000),
        with_(interval="1d", close_time=86_460_000),
        text("11.0", "11"),
        text("11.0", "1.1e1"),
        with_() + b" \r\n",
    ],
)
def test_a_valid_bar(value: bytes) -> None:
    bar = decode_bar(value)
    expected = GOOD | {"closed": True} | json.loads(value)
    assert msgspec.to_builtins(bar) == expected


@pytest.mark.parametrize(
    ("value", "kind", "reason"),
    [
        (None, "tombstone", "cannot be deleted"),
        (b"", "undecodable", "truncated"),
        (b"\x00\x01\x02", "undecodable", "invalid character"),
        (b"\xef\xbb\xbf" + with_(), "undecodable", "byte 0"),
        (json.dumps(GOOD).encode("utf-16"), "undecodable", "byte 0"),
        (with_().replace(b"AAPL", b"AA\xff"), "undecodable", "utf-8"),
        (with_(symbol="\ud800"), "undecodable", "surrogate"),
        (with_()[:-1], "undecodable", "truncated"),
        (with_() + b"x", "undecodable", "trailing"),
        (text("11.0", "NaN"), "undecodable", "invalid character"),
        (text("11.0", "Infinity"), "undecodable", "invalid character"),
        (text("11.0", "-Infinity"), "undecodable", "invalid"),
        (text("11.0", "1e999"), "invalid", "out of range - at `$.high`"),
        (text("5.0", "1e999"), "invalid", "out of range - at `$.volume`"),
        (text("11.0", "1" + "0" * 400), "invalid", "out of range - at `$.high`"),
        (b"[]", "invalid", "got `array`"),
        (b"null", "invalid", "got `null`"),
        (b"[" * 30_000, "invalid", "got `array`"),
        (b'{"symbol":' * 5_000, "invalid", "got `object`"),
        (without("volume"), "invalid", "missing required field `volume`"),
        (without("symbol"), "invalid", "missing required field `symbol`"),
        (with_(vwap=1.0), "invalid", "unknown field `vwap`"),
        (with_(open="10"), "invalid", "got `str` - at `$.open`"),
        (with_(open=True), "invalid", "got `bool` - at `$.open`"),
        (with_(open=None), "invalid", "got `null` - at `$.open`"),
        (with_(closed=None), "invalid", "got `null` - at `$.closed`"),
        (with_(open_time=60_000.5), "invalid", "got `float` - at `$.open_time`"),
        (with_(open_time="2013-10-04"), "invalid", "got `str` - at `$.open_time`"),
        (with_(open_time=-60_000, close_time=0), "invalid", ">= 0"),
        (with_(open_time=10**18, close_time=10**18 + 60_000), "invalid", "open_time"),
        (with_(low=0), "invalid", "> 0.0 - at `$.low`"),
        (with_(low=-1.0), "invalid", "> 0.0 - at `$.low`"),
        (text("9.0", "1e-400"), "invalid", "> 0.0 - at `$.low`"),
        (with_(volume=-1), "invalid", ">= 0.0 - at `$.volume`"),
        (with_(high=8.0), "invalid", "high 8.0 is below low 9.0"),
        (with_(close=11.5), "invalid", "close 11.5 is outside [low 9.0, high 11.0]"),
        (with_(close=8.5), "invalid", "close 8.5 is outside [low 9.0, high 11.0]"),
        (with_(open=11.5), "invalid", "open 11.5 is outside [low 9.0, high 11.0]"),
        (with_(close_time=120_001), "invalid", "close_time 120001 is not open_time 60000 + 1m"),
        (with_(interval="1h"), "invalid", "close_time 120000 is not open_time 60000 + 1h"),
        (with_(interval="1w"), "invalid", "1w"),
        (with_(interval="0m"), "invalid", "0m"),
        (with_(interval="1m\n"), "invalid", "1m"),
        (with_(symbol=""), "invalid", "symbol"),
        (with_(symbol="A" * 65), "invalid", "symbol"),
        (with_(symbol="AA PL"), "invalid", "symbol"),
        (with_(symbol="AAPL\n"), "invalid", "symbol"),
        (with_(symbol="A\u00a0B"), "invalid", "symbol"),
        (with_(symbol="A\x00"), "invalid", "symbol"),
        (with_(symbol=7), "invalid", "got `int` - at `$.symbol`"),
        (b" " * (64 * 1024) + with_(), "too_large", "a bar has at most 65536"),
    ],
)
def test_what_is_no_bar_says_why(value: bytes | None, kind: str, reason: str) -> None:
    with pytest.raises(BadRecord) as bad:
        decode_bar(value)
    assert bad.value.kind == kind
    assert reason in bad.value.reason
    assert "\n" not in bad.value.reason


@pytest.mark.parametrize(
    ("interval", "length"), [("1s", 1_000), ("15m", 900_000), ("4h", 14_400_000), ("1d", 86_400_000)]
)
def test_interval_in_milliseconds(interval: str, length: int) -> None:
    assert interval_ms(interval) == length


@pytest.mark.parametrize("interval", ["", "m", "1", "1M", "-1m", "01m", "1m\n", "100000m", " 1m"])
def test_what_is_no_interval(interval: str) -> None:
    with pytest.raises(ValueError, match="is not an interval"):
        interval_ms(interval)


@pytest.mark.parametrize("number", ["1e99999999999999999999", "0e99999999999999999999", "1e-99999999999999999999"])
def test_an_exponent_beyond_all_numbers_is_a_bad_record(number: str) -> None:
    """Found by the long run of hostile records: it went through the decoder as an error that nobody expects."""
    with pytest.raises(BadRecord):
        decode_bar(json.dumps(GOOD).replace("60000,", f"{number},", 1).encode())
