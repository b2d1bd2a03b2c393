"""The shipped JSON Schemas: current, valid themselves, and of one mind with the decoders (oracle: jsonschema)."""

import json
import re
import sys
import unicodedata
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from alphawire.commands.development.schemas import command
from schemas import export
from schemas import wire as m
from schemas.errors import BadRecord
from schemas.wire import cross_sections as x
from schemas.wire import news as n
from schemas.wire import side_inputs as i
from schemas.wire import trades as t
from streams.kafka.topics import TOPICS

ORIGIN = m.Origin(partition=0, offset=12, time=1_380_873_960_000)
MODEL = m.Model(key="ml.lightgbm", sha256="ab" * 32)
BAR = m.Bar("BAC", "1m", 1_380_893_400_000, 1_380_893_460_000, 13.85, 13.86, 13.84, 13.85, 120_300.0)
CONTENT = m.SignalContent(
    id="0" * 32,
    strategy="demo",
    symbol="BAC",
    time=BAR.close_time,
    signal="BUY",
    weight=0.2,
    reason="",
    prediction=0.0007,
    model=MODEL,
    config_hash="0123456789abcdef",
    gap=None,
    valid_until=BAR.close_time + 60_000,
)
PROVENANCE = m.Provenance("bars", 0, 12, None, ORIGIN, "0.1.0")
ENTRY = m.PluginEntry(
    category="features",
    key="technical.rsi",
    version="1",
    distribution="alphawire",
    distribution_version="0.1.0",
    module="plugins.features.rsi",
    summary="Wilder's RSI",
    available=True,
    outputs=["rsi"],
    parameters={"type": "object"},
    cost="compiled",
)

SAMPLES: dict[str, list[Any]] = {
    "bars": [BAR, msgspec.structs.replace(BAR, closed=False)],
    "signals": [
        m.Signal(CONTENT, PROVENANCE),
        m.Signal(
            msgspec.structs.replace(CONTENT, signal=-0.25, weight=None, prediction=None, model=None, gap=3), PROVENANCE
        ),
    ],
    "predictions": [
        x.Prediction(
            "demo", "BAC", BAR.close_time, 0.5, None, MODEL, "0123456789abcdef", 0, BAR.close_time, PROVENANCE
        ),
        x.Prediction(
            "demo", "BAC", 0, None, "warming up: bar 1 of 14", None, "0123456789abcdef", None, 60_000, PROVENANCE
        ),
        x.Closing(
            "demo",
            0,
            ["BAC"],
            ["CSCO"],
            2,
            ["GE"],
            x.Generator("signal.ranking", "1", {"top_n": 5}),
            x.Weighing(1.0, False),
            "0123456789abcdef",
        ),
        x.Late("demo", 0, ["CSCO"]),
    ],
    "predictions.shadow": [
        m.ShadowPrediction("demo", "BAC", BAR.close_time, 0.0007, 0.0006, MODEL, MODEL, 12),
        m.ShadowPrediction("demo", "BAC", BAR.close_time, None, None, None, MODEL, 13, "ValueError"),
    ],
    "news": [
        n.Article(
            "a-1", BAR.close_time, ["BAC", "C"], "Banks gain", "After the test.", "wire", "https://example", "en"
        ),
        n.Article("a-2", BAR.close_time, historical=True),
    ],
    "news.scores": [
        n.Score("a-1", "BAC", 1, 2, 0.7, 0.1, 0.2, 0.73, "lexicon/1 00", "ab" * 32, 0, 7, True, ["truncated"]),
        n.Mark(1, 2, 1_380_873_960_000, 12),
        n.Unknown(3, 100, 107),
    ],
    "side.inputs": [
        i.ReferenceBar("SPY", "1m", BAR.close_time, 169.0, 169.5, 168.75, 169.25, 12_000.0, 1, 17),
        i.Absent("SPY", "1m", 3, 100, 107),
    ],
    "state": [
        m.Marker("bars", 0, 5000, {"demo": 100}, floor=4000, roster="cd" * 32),
        m.Roster("bars", 0, 4000, {"demo/BAC": 900}),
        m.Snapshot("demo", "BAC", 0, 4000, 900, "layout", "ef" * 32, b"\x00\x01\xff"),
        m.Snapshot("demo", "BAC", 0, 4, 9, "layout", "ef" * 32, b"", m.BesideState("rows-1-9-2", "ef" * 32, b"\xff")),
        m.Gathered("demo", "predictions", 0, 100, 90, 60_000, {"BAC": 120_000}, [0, 60_000]),
    ],
    "control": [
        m.Applied("demo", "bars", 0, 12, ORIGIN, 12, "0123456789abcdef", {"interval": "1m"}, MODEL, "layout"),
        m.Applied("demo", "bars", 0, 12, ORIGIN, 12, "0123456789abcdef", {}, MODEL, "layout", "demo-2", paused=True),
        m.Use("w-1", "demo", "demo-2", "ab" * 32, 1_380_000_000_000),
        m.Use("w-2", "demo", None, None),
        m.Pause("w-3", "demo"),
        m.Resume("w-4", "demo", 0),
        m.Answer("w-1", "demo", "host-1", accepted=False, reason="not the file of this manifest"),
    ],
    "trades": [
        t.Trade("BAC", BAR.close_time, 13.85, 100.0),
        t.Trade("BAC", BAR.close_time, 13.85, 0.5, "t-1", "buy", "correct"),
        t.Tick("BAC", BAR.close_time),
    ],
    "trades.state": [
        t.BuiltMarker("trades", 0, 900, {"1m": t.BuiltKind(0, 500, 12)}, floor=800),
        t.OpenBars("volume:10000", "BAC", 0, 800, 3, "trades-1", "ef" * 32, b"\x00\xff"),
    ],
    "plugins": [ENTRY],
    "plugins.requests": [m.PluginRequest("r1"), m.PluginRequest("r2", "features", "technical.rsi")],
    "plugins.replies": [m.PluginReply("r1", [ENTRY]), m.PluginReply("r2", [], error="no such category")],
}


def type_of(topic: str, sample: Any) -> Any:
    """What decodes it; on `trades` a decoder for each of the two kinds, since trades of others have no tag."""
    types = export.TOPICS[topic]
    return type(sample) if isinstance(types, tuple) else types


def validator(topic: str) -> Draft202012Validator:
    return Draft202012Validator(export.schema_of(topic))


def bar(**changes: Any) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(m.encode(BAR))
    value.update(changes)
    return value


@pytest.mark.parametrize("topic", export.TOPICS)
def test_a_schema_is_valid_and_shipped_as_it_is(topic: str) -> None:
    Draft202012Validator.check_schema(export.schema_of(topic))
    assert json.loads((export.FOLDER / f"{topic}.schema.json").read_text()) == export.schema_of(topic)


def test_nothing_shipped_is_stale() -> None:
    assert export.stale() == []


def test_every_topic_has_a_schema_and_samples() -> None:
    assert SAMPLES.keys() == export.TOPICS.keys() == TOPICS.keys() - {"dead-letters"}


@pytest.mark.parametrize(
    ("topic", "sample"), [(topic, sample) for topic, samples in SAMPLES.items() for sample in samples]
)
def test_messages_as_encoded_satisfy_their_schema_and_come_back_the_same(topic: str, sample: Any) -> None:
    encoded = m.encode(sample)
    validator(topic).validate(json.loads(encoded))
    assert msgspec.json.decode(encoded, type=type_of(topic, sample)) == sample


REFUSED_BARS: list[Any] = [
    bar(volume="12"),
    bar(open=0),
    bar(low=-1.0),
    bar(volume=-1),
    bar(close=None),
    bar(symbol=""),
    bar(symbol="A B"),
    bar(symbol="A\u00a0B"),
    bar(symbol="A\u200bB"),
    bar(symbol="\ufeffA"),
    bar(symbol="A\U000e0041"),
    bar(symbol="A" * 65),
    bar(interval="1x"),
    bar(open_time=-1),
    bar(open_time=1.5),
    bar(open_time=True),
    bar(open_time="1380893400000"),
    bar(open_time=1e300),
    bar(closed="no"),
    bar(closed=1.0),
    bar(vwap=13.0),
    {key: value for key, value in bar().items() if key != "high"},
    [],
]


@pytest.mark.parametrize("value", REFUSED_BARS)
def test_what_the_schema_of_bars_refuses_the_decoder_refuses_too(value: Any) -> None:
    assert not validator("bars").is_valid(value)
    with pytest.raises(BadRecord):
        m.decode_bar(json.dumps(value).encode())


@pytest.mark.parametrize(
    "written",
    ["1.3808934E12", "1380893400000.0", "1380893400000.000e0", "13808934.0E+5", "13808934000000e-1"],
)
def test_an_integer_in_any_writing_that_json_schema_takes(written: str) -> None:
    data = m.encode(BAR).replace(b"1380893400000", written.encode())
    validator("bars").validate(json.loads(data))
    assert m.decode_bar(data) == BAR


@pytest.mark.parametrize("topic", export.TOPICS)
def test_integers_of_every_topic_may_be_written_as_other_languages_do(topic: str) -> None:
    """Each integer as ``12.0``: the validator and the decoder take it, and it is the same message."""
    for sample in SAMPLES[topic]:
        floats = json.dumps(json.loads(m.encode(sample), parse_int=float))
        validator(topic).validate(json.loads(floats))
        decoder = msgspec.json.Decoder(type_of(topic, sample))
        assert m.decode(decoder, floats.encode()) == sample


@pytest.mark.parametrize(
    "written", ["1.38E-12", "1e400", "1e19", "1380893400000.5", "-1.0", "-0.0", "1e999999999", "1." + "0" * 60]
)
def test_what_is_no_integer_or_too_long_stays_refused(written: str) -> None:
    with pytest.raises(BadRecord):
        m.decode_bar(m.encode(BAR).replace(b"1380893400000", written.encode()))


def test_texts_that_look_like_numbers_stay_as_they_are() -> None:
    article = SAMPLES["news"][0]
    headline = 'up 1.0E3 "5.0" \\ 7.0'
    data = m.encode(msgspec.structs.replace(article, headline=headline))
    data = data.replace(str(article.published_at).encode(), b"1380893460000.0")
    assert n.decode_article(data) == msgspec.structs.replace(article, headline=headline)


def parts_of(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
    for part in node.values() if isinstance(node, dict) else node if isinstance(node, list) else []:
        yield from parts_of(part)


@pytest.mark.parametrize("topic", export.TOPICS)
def test_only_words_that_validators_and_generators_share(topic: str) -> None:
    """What the tools of tests/schemas/test_foreign_tools.py stumbled over, without them."""
    for part in parts_of(export.schema_of(topic)):
        assert "discriminator" not in part  # ajv, strict
        assert {"type": "null"} not in part.get("anyOf", [])  # go-jsonschema, jsonschema2pojo
        assert "type" in part or "enum" not in part
        if "integer" in part.get("type", ""):
            assert part["maximum"] > 2**31  # else 32 bits in Java
        if isinstance(pattern := part.get("pattern"), str):
            assert not re.search(r"\\[^x]|\(\?|\ufeff|\x00", pattern)  # RE2, and Go's source


def test_the_schema_of_a_symbol_and_the_decoder_agree_on_each_character() -> None:
    """And on white space by Unicode, which each language draws otherwise."""
    pattern = re.compile(export.schema_of("bars")["$defs"]["Bar"]["properties"]["symbol"]["pattern"])
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        allowed = m.is_symbol(character)
        assert allowed == bool(pattern.match(character))
        assert not (allowed and (character.isspace() or unicodedata.category(character) == "Cc"))


@pytest.mark.parametrize("topic", ["signals", "news", "news.scores", "side.inputs", "state", "control", "plugins"])
def test_a_message_without_its_first_field_is_refused(topic: str) -> None:
    value = json.loads(m.encode(SAMPLES[topic][0]))
    del value[next(iter(value))]
    assert not validator(topic).is_valid(value)


def test_the_command_writes_checks_and_names_what_differs(tmp_path) -> None:
    run = CliRunner().invoke
    assert run(command, ["--out", str(tmp_path)], standalone_mode=False).return_value == 0
    assert {path.name for path in tmp_path.iterdir()} == set(export.rendered())
    assert run(command, ["--out", str(tmp_path), "--check"], standalone_mode=False).return_value == 0

    (tmp_path / "bars.schema.json").write_text("{}\n")
    (tmp_path / "signals.schema.json").unlink()
    (tmp_path / "old.schema.json").write_text("{}\n")
    result = run(command, ["--out", str(tmp_path), "--check"], standalone_mode=False)
    assert result.return_value == 1
    lines = result.stderr.splitlines()
    assert [line.split(":")[0].rpartition("/")[2] for line in lines] == [
        "bars.schema.json",
        "old.schema.json",
        "signals.schema.json",
    ]


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(command, ["--out", str(tmp_path / "file" / "below")], standalone_mode=False)
    assert "choose another folder with --out" in str(result.exception)
