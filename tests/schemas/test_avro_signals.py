"""Signals in Avro: what is read back is what was written, to the byte of its JSON."""

import io
import json
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import BadRecord
from schemas.wire import Model, Origin, Provenance, Signal, SignalContent, decode_signal, encode, signal_json
from schemas.wire.avro_signals import SCHEMA, to_avro

floats = st.floats(allow_nan=False, allow_infinity=False)
counts = st.integers(0, 2**53)
times = st.integers(-62_135_596_800_000, 253_402_300_799_999)
texts = st.text(max_size=20).filter(lambda text: text.isprintable())
models = st.none() | st.builds(Model, texts, texts)
contents = st.builds(
    SignalContent, texts, texts, texts, times, st.sampled_from(["BUY", "SELL", "HOLD", "FLAT"]) | floats,
    st.none() | floats, texts, st.none() | floats, models, texts, st.none() | counts, times, st.none() | times,
)  # fmt: skip
origins = st.builds(Origin, st.integers(0, 1000), counts, st.none() | times)
provenances = st.builds(
    Provenance, texts, st.integers(0, 1000), counts, st.none() | counts, origins, texts, st.booleans()
)


@given(st.builds(Signal, contents, provenances))
@settings(max_examples=150, deadline=None)
def test_nothing_is_lost(signal: Signal) -> None:
    value = to_avro(signal, 258)
    assert value[:5] == b"\x00\x00\x00\x01\x02"
    assert signal_json(value) == encode(signal) == encode(decode_signal(value))


ONE = Signal(
    SignalContent("i", "demo", "AAPL", 1_709_908_200_000, "BUY", 0.5, "above", 61.25, None, "c0", 0, 1_709_908_260_000),
    Provenance("md.ohlc", 1, 42, None, Origin(1, 0), "0.1.0"),
)


def test_others_read_it_by_the_schema() -> None:
    """fastavro, with the schema as it is registered; times are of a logical type."""
    found: Any = fastavro.schemaless_reader(io.BytesIO(to_avro(ONE, 7)[5:]), fastavro.parse_schema(SCHEMA), None)
    assert found["content"]["signal"] == "BUY"
    assert found["content"]["time"].isoformat() == "2024-03-08T14:30:00+00:00"
    assert (found["content"]["prediction"], found["provenance"]["offset"]) == (61.25, 42)


def test_the_schema_has_the_fields_of_the_message() -> None:
    json_schema = json.loads(encode(ONE))
    names = {field["name"]: [each["name"] for each in field["type"]["fields"]] for field in SCHEMA["fields"]}
    assert list(names) == list(Signal.__struct_fields__) == list(json_schema)
    assert names["content"] == list(SignalContent.__struct_fields__)
    assert names["provenance"] == list(Provenance.__struct_fields__)


SPOILED = [lambda v: v[:-1], lambda v: v + b"\x00", lambda v: b"\x00\x00\x00\x00\x07", lambda v: v[:20]]


@pytest.mark.parametrize("spoil", SPOILED)
def test_what_is_none_is_refused(spoil: Any) -> None:
    value = spoil(to_avro(ONE, 7))
    with pytest.raises(BadRecord, match="it is no signal in Avro"):
        decode_signal(value)
    assert signal_json(value) == value
