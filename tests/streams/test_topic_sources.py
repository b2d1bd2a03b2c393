"""Records of a topic as their source declares them: the right bars, or a dead letter that says what to declare."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import yaml

from schemas.configuration import Config, Source, load_config
from schemas.errors import BadRecord, ConfigurationError
from schemas.wire import Bar, decode_bar, encode
from streams.consuming.clock_bound import ClockBound
from streams.consuming.decoding.decoders import BarDecoder, Decoders
from streams.consuming.intake import DecodedBars, Intake
from streams.kafka.partitioner import PartitionerChange

MINUTE = 60_000
# 2024-03-08 14:30 UTC, 09:30 in New York
OPENED = 1_709_908_200_000
BAR = Bar("BTCUSDT", "1m", OPENED, OPENED + MINUTE, 68000.1, 68010.5, 67999.9, 68005.25, 12.75)


class Fetched(NamedTuple):
    offset: int
    value: bytes | None
    key: bytes | None = b"BTCUSDT"
    timestamp: int = 0


def source(**settings: Any) -> Source:
    return Source.model_validate({"topic": "bars", "interval": "1m"} | settings)


def bars(value: Any, **settings: Any) -> list[Bar]:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return BarDecoder(source(**settings), None).bars(data, Counter())


def refusal(value: Any, **settings: Any) -> str:
    with pytest.raises(BadRecord) as raised:
        bars(value, **settings)
    return f"{raised.value.kind}: {raised.value.reason}"


def read(fetched: list[Fetched], **settings: Any) -> DecodedBars:
    given = source(**settings).model_dump_json(exclude_defaults=True)
    return Intake(0, 1, "murmur2", decoders=Decoders(given)).read(fetched)


OWN = {"symbol": "BTCUSDT", "open": 68000.1, "high": 68010.5, "low": 67999.9, "close": 68005.25, "volume": 12.75}
# as Binance's websocket sends a kline: https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams
KLINE = {
    "e": "kline", "E": OPENED + MINUTE + 7, "s": "BTCUSDT",
    "k": {"t": OPENED, "T": OPENED + MINUTE - 1, "s": "BTCUSDT", "i": "1m", "f": 1, "L": 2, "o": "68000.10000000",
          "c": "68005.25000000", "h": "68010.50000000", "l": "67999.90000000", "v": "12.75000000", "n": 2, "x": True},
}  # fmt: skip
OF_KLINES = {
    "interval": None,
    "columns": {"symbol": "s", "interval": "k.i", "open": "k.o", "high": "k.h", "low": "k.l", "close": "k.c",
                "volume": "k.v", "open_time": "k.t", "close_time": "k.T"},
    "time": {"unit": "ms"}, "texts": True, "closed": {"column": "k.x"}, "only": {"e": "kline"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("value", "settings"),
    [
        (KLINE, OF_KLINES),
        (OWN | {"t": OPENED * 1000}, {"time": {"columns": "t", "unit": "us"}}),
        (OWN | {"t": OPENED // 1000}, {"time": {"columns": "t", "unit": ["s", "ms"]}}),
        (OWN | {"t": "2024-03-08T14:30:00Z"}, {"time": {"columns": "t"}}),
        (OWN | {"t": "2024-03-08T09:30:00.000000000-05:00"}, {"time": {"columns": "t"}}),
        (OWN | {"t": "2024-03-08 09:30"}, {"time": {"columns": "t", "zone": "America/New_York"}}),
        (OWN | {"d": "08.03.2024", "h": "09:31"},
         {"time": {"columns": ["d", "h"], "format": "%d.%m.%Y %H:%M", "zone": "America/New_York", "stamp": "end"},
          "columns": {"high": "high"}}),
        (OWN | {"t": OPENED + MINUTE - 1}, {"time": {"columns": "t", "unit": "ms", "stamp": "end"}}),
        (OWN | {"t": OPENED - 5 * 3_600_000},
         {"time": {"columns": "t", "unit": "ms", "zone": "America/New_York", "wall": True}}),
        (OWN | {"t": OPENED, "symbol": "btc_usdt"},
         {"time": {"columns": "t", "unit": "ms"}, "symbol": {"column": "symbol", "upper": True, "replace": {"_": ""}}}),
        (OWN | {"t": OPENED, "symbol": "BTCUSDT@60s"},
         {"interval": None, "time": {"columns": "t", "unit": "ms"},
          "symbol": {"column": "symbol", "pattern": "(?P<symbol>[A-Z]+)@(?P<interval>\\w+)"}}),
        (OWN | {"t": OPENED, "tf": "60"},
         {"interval": None, "time": {"columns": "t", "unit": "ms"}, "columns": {"interval": "tf"},
          "interval_names": {"60": "1m"}}),
        ({"data": [[OPENED, "BTCUSDT", 68000.1, 68010.5, 67999.9, 68005.25, 10.75, 2]]},
         {"records": "data", "time": {"columns": "1", "unit": "ms"},
          "columns": {"symbol": 2, "open": 3, "high": 4, "low": 5, "close": 6, "volume": [7, 8]}}),
        ({"t": OPENED, "symbol": "BTCUSDT", "o": 68000100000000, "h": 68010500000000, "l": 67999900000000,
          "c": 68005250000000, "volume": 1275},
         {"time": {"columns": "t", "unit": "ms"}, "columns": {"open": "o", "high": "h", "low": "l", "close": "c"},
          "price_scale": 1e-9, "volume_scale": 0.01}),
        ({"1. open": 68000.1, "h": {"h": 68010.5}, "low": 67999.9, "close": 68005.25, "volume": 12.75, "t": OPENED},
         {"symbol": {"value": "BTCUSDT"}, "columns": {"open": "1\\. open", "high": "h.h"},
          "time": {"columns": "t", "unit": "ms"}}),
    ],
)  # fmt: skip
def test_the_same_bar_in_many_shapes(value: Any, settings: dict[str, Any]) -> None:
    assert bars(value, **settings) == [BAR]


@pytest.mark.parametrize(
    ("value", "settings", "wanted"),
    [
        (OWN | {"t": OPENED}, {"time": {"columns": "t"}}, "declare time: {unit: ms}"),
        (OWN | {"t": "2024-03-08 14:30"}, {"time": {"columns": "t"}}, "has no zone: declare time: {zone: UTC}"),
        (OWN | {"t": str(OPENED)}, {"time": {"columns": "t", "unit": "ms"}}, "declare texts: true"),
        (OWN | {"t": OPENED}, {"time": {"columns": "t", "unit": ["s", "ns"]}}, "is none in s or ns since the epoch"),
        (OWN | {"t": OPENED * 1000 + 1}, {"time": {"columns": "t", "unit": "us"}}, "not at a whole millisecond"),
        (OWN | {"t": "2024-03-08T14:30:00.0000001Z"}, {"time": {"columns": "t"}}, "not at a whole millisecond"),
        (OWN | {"t": "2024-11-03 01:30"}, {"time": {"columns": "t", "zone": "America/New_York"}},
         "twice or not at all"),
        (OWN | {"t": "2024-03-10 02:30"}, {"time": {"columns": "t", "zone": "America/New_York"}},
         "twice or not at all"),
        (OWN | {"t": "8.3.24"}, {"time": {"columns": "t"}}, "is not written as 2013-10-04T14:30:00Z"),
        (OWN | {"t": True}, {"time": {"columns": "t", "unit": "ms"}}, "its time True is none"),
        (OWN | {"t": OPENED, "e": OPENED + 2 * MINUTE},
         {"time": {"columns": "t", "unit": "ms"}, "columns": {"close_time": "e"}}, "is not its start"),
        (OWN | {"t": OPENED, "open": "68000.1"}, {"time": {"columns": "t", "unit": "ms"}}, "declare texts: true"),
        (OWN | {"t": OPENED, "open": "68,000"}, {"time": {"columns": "t", "unit": "ms"}, "texts": True}, "no number"),
        (OWN | {"t": OPENED, "open": "nan"}, {"time": {"columns": "t", "unit": "ms"}, "texts": True}, "no number"),
        (OWN | {"t": OPENED, "open": None}, {"time": {"columns": "t", "unit": "ms"}},
         "open is None, which is no number"),
        (OWN | {"t": OPENED, "open": True}, {"time": {"columns": "t", "unit": "ms"}},
         "open is True, which is no number"),
        (OWN | {"t": OPENED, "low": -999.0}, {"time": {"columns": "t", "unit": "ms"}, "undefined": -999}, "no value"),
        (OWN | {"t": OPENED, "low": 0.0}, {"time": {"columns": "t", "unit": "ms"}}, "low 0.0 is not above 0"),
        (OWN | {"t": OPENED, "volume": -1}, {"time": {"columns": "t", "unit": "ms"}}, "volume -1.0 is not 0 or above"),
        (OWN | {"t": OPENED, "high": 1.0}, {"time": {"columns": "t", "unit": "ms"}}, "high 1.0 is below low 67999.9"),
        (OWN | {"t": OPENED}, {"time": {"columns": "when", "unit": "ms"}}, "it has no field when; it has symbol, open"),
        (OWN | {"t": OPENED, "tf": "60"}, {"interval": None, "columns": {"interval": "tf"}, "time": {"columns": "t"}},
         "'60' is no interval: declare interval_names: {60: 1m}"),
        (OWN | {"t": OPENED, "x": "maybe"}, {"time": {"columns": "t", "unit": "ms"}, "closed": {"column": "x"}},
         "neither true nor false"),
        (OWN | {"t": OPENED, "data": 5}, {"time": {"columns": "t"}, "records": "data"},
         "data is no list of bars, but 5"),
        ([1, 2, 3], {"time": {"columns": "t", "unit": "ms"}}, "it has no field symbol; it is [1, 2, 3]"),
        (b"{", {}, "undecodable: "),
        (b"\x00\x00\x00\x00\x01abc", {}, "undecodable: "),
    ],
)  # fmt: skip
def test_what_leaves_a_doubt_is_refused(value: Any, settings: dict[str, Any], wanted: str) -> None:
    assert wanted in refusal(value, **settings)


def test_numbers_are_rounded_once() -> None:
    """Expected: by decimal fractions. 68005.25 is no float64 times 1e-9, and 2**53 + 1 is none at all."""
    value = OWN | {"t": OPENED, "open": "8005249999999999.5", "high": 9_007_199_254_740_993, "low": "1e3"}
    settings = {"time": {"columns": "t", "unit": "ms"}, "texts": True, "price_scale": 1e-9}
    prices = value | {"close": 68005250000000}
    (bar,) = bars(prices, **settings)
    assert (bar.open, bar.high, bar.close) == (8005249.9999999995, 9007199.254740993, 68005.25)


def test_a_record_of_several_bars_is_used_as_far_as_it_can_be() -> None:
    rows = [OWN | {"t": OPENED, "symbol": name} for name in ("A", "B", "C")]
    rows[1]["low"] = 0
    settings = {"records": "rows", "time": {"columns": "t", "unit": "ms"}, "key": "any"}
    taken = read([Fetched(7, json.dumps({"rows": rows}).encode(), None)], **settings)
    assert taken.batches["1m"].symbols == ["A", "C"]
    assert taken.batches["1m"].offsets.tolist() == [7, 7]
    (letter,) = taken.dead
    assert (letter.kind, letter.reason) == ("invalid", "bar 2 of 3: low 0.0 is not above 0")


def test_a_record_of_several_bars_is_refused_by_the_clock_as_a_whole() -> None:
    """The log says it by the offset alone, so a replay could not tell which of them were refused."""
    rows = [OWN | {"t": OPENED + minute * MINUTE} for minute in (0, 90, 1)]
    record = Fetched(3, json.dumps(rows).encode())
    given = source(time={"columns": "t", "unit": "ms"}).model_dump_json(exclude_defaults=True)
    live = ClockBound(clock=lambda: OPENED / 1000, tolerance=300.0)
    assert not Intake(0, 1, "murmur2", live, decoders=Decoders(given)).read([record]).batches
    assert list(live.refused) == [3]
    again = Intake(0, 1, "murmur2", ClockBound(live.refused), decoders=Decoders(given)).read([record])
    assert (again.batches, [letter.kind for letter in again.dead]) == ({}, ["future"])


def test_a_bar_of_the_future_is_refused_among_many_that_are_read_together() -> None:
    given = source(time={"columns": "t", "unit": "ms"}).model_dump_json(exclude_defaults=True)
    live = ClockBound(clock=lambda: OPENED / 1000 + 3600, tolerance=0.0)
    intake = Intake(0, 1, "murmur2", live, decoders=Decoders(given))
    minutes = [0, 1, 2, 3, 61, 4, 60, 5, 6, 7]
    records = [Fetched(minute, json.dumps(OWN | {"t": OPENED + minute * MINUTE}).encode()) for minute in minutes]
    intake.read(records[:1])  # what its symbol is called is known from now on
    taken = intake.read(records[1:])
    assert [(letter.record.offset, letter.kind) for letter in taken.dead] == [(61, "future")]
    assert taken.batches["1m"].offsets.tolist() == [1, 2, 3, 4, 60, 5, 6, 7]


def test_records_of_two_bars_and_of_one() -> None:
    single, pair = OWN | {"t": OPENED}, [OWN | {"t": OPENED + MINUTE}, OWN | {"t": OPENED + 2 * MINUTE}]
    records = [Fetched(n, json.dumps(value).encode()) for n, value in enumerate([single, pair])]
    batch = read(records, time={"columns": "t", "unit": "ms"}).batches["1m"]
    assert batch.offsets.tolist() == [0, 1, 1]
    assert batch.bars["time"].tolist() == [OPENED + n * MINUTE for n in (1, 2, 3)]


def test_a_letter_is_of_the_kind_of_its_first_fault() -> None:
    rows = [OWN | {"t": OPENED, "symbol": "A", "low": 0}, OWN | {"t": OPENED, "symbol": "B"}]
    (letter,) = read([Fetched(7, json.dumps(rows).encode(), b"A")], time={"columns": "t", "unit": "ms"}).dead
    assert letter.kind == "invalid"
    assert letter.reason.startswith("bar 1 of 2: low 0.0 is not above 0; the key b'A' is not the symbol 'B'")


@pytest.mark.parametrize(("count", "end"), [(3, "'C'"), (4, "; and 1 more"), (5, "; and 2 more")])
def test_a_letter_tells_three_faults_and_counts_the_others(count: int, end: str) -> None:
    rows = [OWN | {"t": OPENED, "symbol": name} for name in "ABCDE"[:count]]
    (letter,) = read([Fetched(7, json.dumps(rows).encode(), b"X")], time={"columns": "t", "unit": "ms"}).dead
    mend = "; declare key: any in the source where it need not be"
    assert letter.reason.removesuffix(mend).endswith(end)
    assert letter.reason.count("is not the symbol") == 3


def test_only_a_schema_that_is_not_known_is_refused_by_the_clock() -> None:
    given = source(time={"columns": "t", "unit": "ms"}).model_dump_json(exclude_defaults=True)
    live = ClockBound(clock=lambda: OPENED / 1000, tolerance=300.0)
    values = [b"{", b"\xff", json.dumps(OWN | {"t": OPENED, "low": 0}).encode()]
    taken = Intake(0, 1, "murmur2", live, decoders=Decoders(given)).read([Fetched(n, v) for n, v in enumerate(values)])
    assert [letter.kind for letter in taken.dead] == ["undecodable", "undecodable", "invalid"]
    assert live.refused == {}


def test_many_records_of_several_bars() -> None:
    """Which no scanner reads."""
    settings = {"records": "rows", "time": {"columns": "t", "unit": "ms"}}
    values = [{"rows": [OWN | {"t": OPENED + (2 * n + k) * MINUTE} for k in range(2)]} for n in range(10)]
    batch = read([Fetched(n, json.dumps(value).encode()) for n, value in enumerate(values)], **settings).batches["1m"]
    assert batch.offsets.tolist() == [n // 2 for n in range(20)]
    assert batch.bars["time"].tolist() == [OPENED + (n + 1) * MINUTE for n in range(20)]


def test_forming_bars_and_other_kinds_of_record_are_counted() -> None:
    forming = json.loads(json.dumps(KLINE))
    forming["k"]["x"] = False
    values = [forming, KLINE, {"e": "trade", "s": "BTCUSDT"}]
    taken = read([Fetched(n, json.dumps(value).encode()) for n, value in enumerate(values)], **OF_KLINES)
    assert taken.batches["1m"].offsets.tolist() == [1]
    assert taken.counts == {"unclosed": 1, "not_chosen": 1}
    assert not taken.dead


def test_a_volume_that_is_declared_not_to_be_there_is_none() -> None:
    value = OWN | {"t": OPENED, "volume": 7, "none": 8}
    assert bars(value, columns={"volume": "none"}, time={"columns": "t", "unit": "ms"})[0].volume == 0.0


def test_the_key_is_the_symbol_unless_it_may_be_any() -> None:
    settings = {"time": {"columns": "t", "unit": "ms"}}
    record = Fetched(0, json.dumps(OWN | {"t": OPENED}).encode(), b"binance:BTCUSDT")
    (letter,) = read([record], **settings).dead
    assert letter.reason.endswith("is not the symbol 'BTCUSDT'; declare key: any in the source where it need not be")
    assert read([record], key="any", **settings).batches["1m"].symbols == ["BTCUSDT"]


def test_each_record_is_read_by_the_source_in_force() -> None:
    """As the log has it: alphawire's own, then by a source, then by another one."""
    first = source(time={"columns": "t", "unit": "ms"}).model_dump_json(exclude_defaults=True)
    second = source(time={"columns": "t", "unit": "s"}).model_dump_json(exclude_defaults=True)
    changes = [
        PartitionerChange(0, "murmur2"),
        *(PartitionerChange(n, "murmur2", s) for n, s in ((1, first), (2, second))),
    ]
    values = [encode(BAR), json.dumps(OWN | {"t": OPENED + MINUTE}), json.dumps(OWN | {"t": OPENED // 1000 + 120})]
    records = [Fetched(n, v if isinstance(v, bytes) else v.encode()) for n, v in enumerate(values)]
    for parts in ([records], [records[:1], records[1:]], [[each] for each in records]):
        intake = Intake(0, 1, "murmur2", changes=changes, decoders=Decoders())
        times = [int(t) for part in parts for t in intake.read(part).batches["1m"].bars["time"]]
        assert times == [OPENED + n * MINUTE for n in (1, 2, 3)]


SETTINGS: list[tuple[dict[str, Any], str]] = [
    ({"sources": {"a": {"topic": "md", "interval": "1m"}}}, "is not the topic of bars, which is bars, nor that of"),
    ({"sources": {"a": {"topic": "bars"}}}, "say how long the topic's bars are"),
    ({"sources": {"a": {"topic": "bars", "interval": "1m", "path": "x"}}}, "path is of files"),
    ({"sources": {"a": {"path": "x", "texts": True}}}, "texts is of a topic's records: name the topic"),
    ({"sources": {n: {"topic": "bars", "interval": "1m"} for n in "ab"}}, "sources a and b are both of the topic bars"),
    ({"sources": {"a": {"topic": "bars", "interval": "1m", "encoding": "avro"}}}, "needs kafka.registry: {url: …}"),
    ({"kafka": {"registry": {"url": "http://x:1", "username": "u"}}}, "a password would go to x unencrypted"),
    ({"kafka": {"registry": {"url": "http://x:1", "password": "p"}}}, "ALPHAWIRE_KAFKA__REGISTRY__PASSWORD"),
]


@pytest.mark.parametrize(("settings", "fault"), SETTINGS)
def test_settings_that_cannot_be(tmp_path: Any, settings: dict[str, Any], fault: str) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(yaml.safe_dump(settings))
    with pytest.raises(ConfigurationError) as raised:
        load_config(file)
    assert fault in str(raised.value)


def test_the_configuration_of_kafka_knows_how_bars_are_read() -> None:
    config = Config.model_validate(
        {"kafka": {"topics": {"bars": "md.ohlc"}}, "sources": {"a": {"topic": "md.ohlc", "interval": "1m"}}}
    )
    assert Source.model_validate_json(config.kafka.bars_source) == config.sources["a"]
    assert config.kafka.model_copy(update={"group": "x"}).bars_source == config.kafka.bars_source
    assert Config().kafka.bars_source == ""


@pytest.mark.parametrize("make", [encode, lambda bar: json.dumps(json.loads(encode(bar))).encode()])
def test_alphawires_own_bars_read_by_a_source_are_the_same(make: Callable[[Bar], bytes]) -> None:
    settings = {"columns": {"open_time": "open_time", "close_time": "close_time"}, "time": {"unit": "ms"}}
    assert bars(make(BAR), **settings) == [decode_bar(make(BAR))]
