"""Whatever bytes come, a decoder gives a valid value or says in one line what is wrong: nothing else, ever.

Random bytes, random JSON, and valid records changed in bytes and in meaning. `make test` tries some tens of thousands
of inputs, the long run (marked slow) some hundred thousand; both print how many.
"""

import json
import logging
import math
import random
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from plugins.models.artifacts.manifest import MANIFEST, read_manifest
from schemas import wire as m
from schemas.configuration import load_config
from schemas.errors import ArtifactError, BadRecord, ConfigurationError
from streams.consuming.intake import Intake
from streams.dead_letters.letters import Selection, _take
from streams.dead_letters.mending import read_mended
from streams.publishing.writer import MAX_DEAD_LETTER, dead_record
from streams.recovery.plan import resume_plan
from streams.recovery.state import StoredState
from streams.service.listing import reply_records
from tests.fuzz.hostile import mutated
from tests.fuzz.hostile_news import NEWS_TARGETS
from tests.support.memory import CONFIG, Fetched, bar, ready
from tests.support.swaps import ARTIFACTS, NAME, Book, with_model
from tests.support.told import TRIED

ROOT = Path(__file__).parents[2]
KINDS = {"undecodable", "tombstone", "invalid", "wrong_key", "wrong_partition", "too_large"}
EACH = 25
"""Changed records for each example of Hypothesis."""

BARS = [m.encode(bar("AAPL", 1, 100.0)), m.encode(bar("é😀", 2, 1.5) | {"closed": False})]
ORIGIN = m.Origin(0, 0, None)
STATES = [
    m.encode(m.Marker("bars", 0, 100, {"demo": 90}, 50, "ab")),
    m.encode(m.Roster("bars", 0, 50, {"demo/AAPL": 7, ":1m/AAPL": 7}, ["demo"])),
    m.encode(m.Snapshot("demo", "AAPL", 0, 50, 7, "layout", "sha", b"payload")),
]
READY = ready("demo")
APPLIED = [
    m.encode(m.Applied("demo", "bars", 0, 0, ORIGIN, 0, READY.config_hash, READY.config, None, READY.layout)),
    m.encode(m.Applied("demo", "bars", 0, 5, ORIGIN, 5, "h", {"interval": "1m", "deep": [[{}]]}, m.Model("k", "s"))),
]
MODELLED = with_model(ARTIFACTS[0])
WISHES = [
    m.encode(m.Use("w-1", NAME, "b", "ab" * 32, 1_380_000_000_000)),
    m.encode(m.Use("w-2", NAME, None, None)),
    m.encode(m.Pause("w-3", NAME)),
    m.encode(m.Resume("w-4", NAME, 0)),
    m.encode(m.Answer("w-1", NAME, "host-1", accepted=False, reason="no")),
]
REQUESTS = [m.encode(m.PluginRequest("42", "features", "technical.rsi")), b'{"id":"1"}']
CONFIGURATIONS = [
    (ROOT / "examples" / "alphawire.yaml").read_bytes(),
    json.dumps(yaml.safe_load((ROOT / "examples" / "alphawire.yaml").read_text())).encode(),
]
LINES = [b'{"partition": 0, "offset": 17, "value": {"symbol": "A"}}\n']
MANIFESTS = [
    json.dumps(
        {
            "format": 2,
            "key": "ml.lightgbm",
            "version": "1",
            "params": {"a": [1, 2.5, {"b": None}]},
            "columns": ["rsi"],
            "training": {
                "interval": "1m",
                "symbols": ["AAPL"],
                "target": "forward_return",
                "horizon_bars": 5,
                "barriers": {"profit_taking": 2.0, "stop_loss": 0.5, "volatility_bars": 20},
                "first_time": 1,
                "last_time": 2,
                "rows": 3,
                "data_sha256": "0" * 64,
            },
            "libraries": {"python": "3.11"},
            "models": {"*": {"file": "model-000000000000.txt", "self_test": "selftest-000000000000.f64"}},
            "files": {"model-000000000000.txt": "0" * 64, "selftest-000000000000.f64": "0" * 64},
            "out_of_sample": {
                "rows": 3,
                "first_time": 1,
                "last_time": 2,
                "block_times": 6.0,
                "resamples": 1000,
                "model": {key: {"value": 0.1, "low": -0.1, "high": 0.2} for key in ("ic", "r2", "hit_rate")},
                "zero": {key: {"value": None, "low": None, "high": None} for key in ("ic", "r2", "hit_rate")},
                "last_return": {key: {"value": 0.1, "low": -0.1, "high": 0.2} for key in ("ic", "r2", "hit_rate")},
                "ic_lead": {"value": 0.1, "low": -0.1, "high": 0.2},
                "better_than_baselines": False,
            },
        }
    ).encode()
]


def check_bar(data: bytes) -> None:
    try:
        found = m.decode_bar(data)
    except BadRecord as bad:
        if bad.kind in KINDS:
            return
        raise
    assert m.is_symbol(found.symbol)
    assert found.close_time - found.open_time == m.interval_ms(found.interval)
    assert 0 < found.low <= min(found.open, found.close) <= max(found.open, found.close) <= found.high < math.inf
    assert 0 <= found.volume < math.inf
    assert m.decode_bar(m.encode(found)) == found


def check_intake(data: bytes) -> None:
    """Each record is somewhere, once; and a letter can be written for each that is refused."""
    good = BARS[0]
    records = [
        Fetched(0, good, b"AAPL"), Fetched(1, data, b"AAPL"), Fetched(2, data, data[:100]), Fetched(3, data, None),
        Fetched(4, None, data), Fetched(5, good, data),
    ]  # fmt: skip
    taken = Intake(0, 1, "murmur2").read(records)
    assert sum(map(len, taken.batches.values())) + len(taken.dead) + taken.counts.total() == len(records)
    for dead in taken.dead:
        letter = dead_record("dead-letters", dead)
        assert letter.size <= 2 * MAX_DEAD_LETTER + 64
        again = _take(
            Selection(), SimpleNamespace(partition=0, offset=0, key=b"", value=b"", timestamp=0, headers=letter.headers)
        )
        assert again is not None
        assert again.error in KINDS


def check_state(data: bytes) -> None:
    stored = StoredState()
    for value in (*STATES, *APPLIED, data):
        stored.take_state(value)
        stored.take_control(value)
    try:
        resume_plan(stored, [READY], "bars", 0, 0, 1000)
    except ConfigurationError as error:
        assert_one_line(error)


def check_wish(data: bytes) -> None:
    """It is refused as a record, or as a wish in one line, or it is one that may be fulfilled; nothing is ever looked
    for but beside the configured artifact.
    """
    try:
        found = m.decode_control(data)
    except BadRecord as bad:
        if bad.kind in KINDS:
            return
        raise
    book = Book([MODELLED])
    if not isinstance(found, m.Wish) or not book.concerns(found):
        return
    reason = book.take(found)
    if isinstance(found, m.Use) and found.artifact is not None:
        assert reason is None or "\n" not in reason
        assert "/" not in found.artifact
    for switch in book.switches(found.strategy):
        assert switch.from_time is None or switch.from_time >= 0


def check_request(data: bytes) -> None:
    (answer,) = reply_records(CONFIG.kafka, [Fetched(0, data, b"k", "plugins.requests")])
    assert answer.topic in ("plugins.replies", "dead-letters")
    assert answer.key is not None


def check_letter(data: bytes) -> None:
    """Headers of somebody else's records on dead-letters."""
    selection = Selection()
    names = ("topic", "partition", "offset", "error", "reason", "truncated", "replayed", "replaying", "to")
    rng = random.Random(len(data))
    headers = [(name, rng.choice((data, b"0", b"0:1", data[:9]))) for name in names if rng.random() < 0.7]
    record = SimpleNamespace(partition=0, offset=3, key=data, value=data, timestamp=0, headers=headers)
    letter = _take(selection, record)
    assert letter is not None or selection.foreign or selection.replayed or selection.begun


def assert_one_line(error: Exception) -> None:
    """As the command line shows it."""
    text = " ".join(str(error).split())
    assert text
    assert "Traceback" not in text


def into_file(name: str, use: Callable[[Path], Any], allowed: type[Exception]) -> Callable[[bytes, Path], None]:
    def check(data: bytes, folder: Path) -> None:
        (folder / name).write_bytes(data)
        try:
            use(folder / name)
        except allowed as error:
            assert_one_line(error)

    return check


check_configuration = into_file("alphawire.yaml", load_config, ConfigurationError)
check_manifest = into_file(MANIFEST, lambda path: read_manifest(path.parent).sha256, ArtifactError)
check_lines = into_file("mended.jsonl", read_mended, ConfigurationError)

TARGETS: dict[str, tuple[Any, list[bytes], int]] = {
    "bars": (check_bar, BARS, 1),
    "intake": (check_intake, BARS, 2),
    "state and control": (check_state, [*STATES, *APPLIED, *WISHES], 3),
    "wishes": (check_wish, [*WISHES, *APPLIED], 15),
    "plugin requests": (check_request, REQUESTS, 15),
    "dead letters": (check_letter, [b"0:17", b"bars"], 1),
    "mended lines": (check_lines, LINES, 5),
    "configuration": (check_configuration, CONFIGURATIONS, 60),
    "manifest": (check_manifest, MANIFESTS, 5),
    **NEWS_TARGETS,
}
"""The check, valid inputs, and how much one costs against a bar: the dear ones get fewer."""

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
inputs = st.one_of(
    st.binary(max_size=300),
    json_values.map(lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")),
)


def fuzz(name: str, examples: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check, valid, cost = TARGETS[name]
    monkeypatch.setattr(logging.getLogger("alphawire.state"), "disabled", True)

    def attempt(data: bytes) -> None:
        TRIED[name] += 1
        check(data, folder) if folder_needed(name) else check(data)

    @settings(
        max_examples=max(10, examples // cost), deadline=None, database=None, derandomize=True,
        phases=(Phase.explicit, Phase.generate, Phase.shrink), suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(inputs, st.integers(0, 2**64))
    def run(data: bytes, seed: int) -> None:
        attempt(data)
        rng = random.Random(seed)
        for _ in range(EACH):
            attempt(mutated(rng, rng.choice(valid)))

    for data in valid:
        attempt(data)
    run()


def folder_needed(name: str) -> bool:
    return name in ("configuration", "manifest", "mended lines")


@pytest.mark.parametrize("name", TARGETS)
def test_decoders(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fuzz(name, 300, tmp_path, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_decoders_for_long(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fuzz(name, 4_000, tmp_path, monkeypatch)


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_valid_is_taken(name: str, tmp_path: Path) -> None:
    """Else the mutations would be of records that are refused at the first byte."""
    _, valid, _ = TARGETS[name]
    if name in ("bars", "intake"):
        assert all(m.decode_bar(data) for data in valid)
    if name == "state and control":
        stored = StoredState()
        for data in valid:
            stored.take_state(data)
            stored.take_control(data)
        assert stored.marker and stored.rosters and stored.snapshots and stored.applied  # noqa: PT018
    if name == "wishes":
        assert {type(m.decode_control(data)) for data in valid} == {m.Use, m.Pause, m.Resume, m.Answer, m.Applied}
    if folder_needed(name):
        for file, data in zip(
            ("alphawire.yaml", MANIFEST, "mended.jsonl"), (CONFIGURATIONS, MANIFESTS, LINES), strict=True
        ):
            (tmp_path / file).write_bytes(data[0])
        assert load_config(tmp_path / "alphawire.yaml").strategies
        assert read_manifest(tmp_path).sha256
        assert read_mended(tmp_path / "mended.jsonl")
