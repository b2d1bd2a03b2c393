"""What a dead letter becomes before it is put back, and whether it would be one again."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from schemas.configuration import Kafka
from schemas.errors import BadRecord, ConfigurationError
from schemas.wire import UNREADABLE, Bar, decode_request
from schemas.wire.news import decode_article
from streams.consuming.decoding.decoders import OWN, BarDecoder, OwnBars
from streams.dead_letters.letters import Letter, Place
from streams.kafka.partitioner import partition_of
from streams.kafka.topics import topic_name
from streams.publishing.writer import Record

AS_IT_IS = "put back as it is it would be refused again"
MENDS = {
    "late": f"{AS_IT_IS}: newer bars of the symbol were taken since",
    "off_grid": f"{AS_IT_IS}: newer bars of the symbol were taken since",
    "correction": f"{AS_IT_IS}: the bar was taken with other values, and what was taken stays",
    "left_out": "an operator left it out; put it back with other values (--set, --file)",
    "wrong_key": "key and symbol differ; say which symbol it is with --set symbol=SYMBOL",
}
FUTURE = (
    f"{AS_IT_IS}: it opens after now; set open_time and close_time with --set, or raise worker.clock_tolerance first"
)
NEVER = ("late", "correction", "off_grid")
"""Classes of letters that nothing outside of the letter itself can mend."""
TRUNCATED = "only its beginning is here; give the whole of it with --file"


@dataclass(frozen=True)
class Mend:
    """What to change in the letters: whole values by place, else fields of JSON objects."""

    values: Mapping[Place, bytes] = field(default_factory=dict)
    fields: Mapping[str, Any] = field(default_factory=dict)
    without: frozenset[str] = frozenset()
    latest: int | None = None
    """Until when a bar may open that a worker takes now, in ms since the epoch, UTC; None: there is no bound."""

    def of(self, letter: Letter) -> bytes | None:
        """The mended value, or None where nothing changes; `BadRecord` where it cannot be done."""
        if letter.place in self.values:
            return self.values[letter.place]
        if not self.fields and not self.without:
            return None
        if letter.truncated is not None:
            raise BadRecord("truncated", TRUNCATED)
        try:
            value = msgspec.json.decode(letter.value or b"")
        except UNREADABLE:
            value = None
        if not isinstance(value, dict):
            raise BadRecord("undecodable", "it is no JSON object, so it has no fields to set; mend it with --file")
        kept = {name: old for name, old in value.items() if name not in self.without}
        return msgspec.json.encode(kept | dict(self.fields))


@dataclass(frozen=True)
class Mended:
    """A record that goes back, and the partition that it goes to."""

    letter: Letter
    partition: int
    record: Record


def mended(kafka: Kafka, partitions: int, letter: Letter, mend: Mend, decoder: BarDecoder | OwnBars = OWN) -> Mended:
    """Where the letter goes and as what; `BadRecord` that says why it cannot go back. `decoder`: of bars."""
    value = mend.of(letter)
    if letter.topic == topic_name(kafka, "bars"):
        bars = _bars(letter, value, mend.latest, decoder)
        return (
            _own(kafka, partitions, letter, value, bars[0])
            if decoder is OWN
            else _as_it_came(kafka, partitions, letter, value, bars)
        )
    if letter.topic == topic_name(kafka, "plugins.requests"):
        return _request(letter, value)
    if letter.topic == topic_name(kafka, "news"):
        return _article(kafka, letter, value)
    # the header is what somebody wrote: nothing but what we read may be written to
    raise BadRecord("foreign", f"it came from {letter.topic[:249]!r}, which is none of the topics that are read here")


def _bars(letter: Letter, value: bytes | None, latest: int | None, decoder: BarDecoder | OwnBars) -> list[Bar]:
    """The bars of the letter's new value, if it may go back."""
    if value is None and not (decoder.any_key and letter.error == "wrong_key"):
        _check_unchanged(letter)
    bars = decoder.bars(letter.value if value is None else value, Counter())
    if not bars:
        raise BadRecord("invalid", "it holds no bar that the source reads")
    if letter.error in NEVER and value is not None and bars == decoder.bars(letter.value, Counter()):
        raise BadRecord(letter.error, MENDS[letter.error])
    if latest is not None and max(bar.open_time for bar in bars) > latest:
        raise BadRecord("future", FUTURE)
    return bars


def _own(kafka: Kafka, partitions: int, letter: Letter, value: bytes | None, bar: Bar) -> Mended:
    key = bar.symbol.encode()
    if value is None and letter.key != key:
        raise BadRecord("wrong_key", MENDS["wrong_key"])
    home = letter.partition
    if kafka.partitioner != "as_is":
        home = partition_of(key, partitions, kafka.partitioner)
    time = letter.timestamp if value is None else bar.close_time
    return _put(letter, partitions, home, Record(letter.topic, key, letter.value if value is None else value, time))


def _as_it_came(kafka: Kafka, partitions: int, letter: Letter, value: bytes | None, bars: Sequence[Bar]) -> Mended:
    """A record of a declared source keeps its key; the one symbol of it tells the partition, where it does."""
    home, symbols = letter.partition, {bar.symbol for bar in bars}
    if kafka.partitioner != "as_is" and len(symbols) == 1:
        home = partition_of(symbols.pop().encode(), partitions, kafka.partitioner)
    content = letter.value if value is None else value
    return _put(letter, partitions, home, Record(letter.topic, letter.key, content, letter.timestamp))


def _put(letter: Letter, partitions: int, home: int, record: Record) -> Mended:
    if not 0 <= home < partitions:
        raise BadRecord("wrong_partition", f"there is no partition {home} of {letter.topic}")
    return Mended(letter, home, record)


def _article(kafka: Kafka, letter: Letter, value: bytes | None) -> Mended:
    """An article, on the partition of `news` that it came from."""
    if kafka.source_of("news"):
        raise BadRecord(letter.error, f"{letter.topic} is read by a source: send the article as its producer does")
    if value is None:
        _check_unchanged(letter)
    content = letter.value if value is None else value
    article = decode_article(content)
    if not 0 <= letter.partition < kafka.news_partitions:
        raise BadRecord("wrong_partition", f"there is no partition {letter.partition} of {letter.topic}")
    return Mended(letter, letter.partition, Record(letter.topic, article.id.encode(), content, letter.timestamp))


def _request(letter: Letter, value: bytes | None) -> Mended:
    if value is None:
        _check_unchanged(letter)
    content = letter.value if value is None else value
    decode_request(content)
    return Mended(letter, 0, Record(letter.topic, letter.key, content, letter.timestamp))


def _check_unchanged(letter: Letter) -> None:
    if letter.error in MENDS:
        raise BadRecord(letter.error, MENDS[letter.error])
    if not letter.whole:
        raise BadRecord("truncated", TRUNCATED)


def read_mended(file: Path) -> dict[Place, bytes]:
    """Values by place, from lines such as ``{"partition": 0, "offset": 17, "value": {…}}``; other names are left.

    Raises
    ------
    ConfigurationError
        That names the line.
    """
    try:
        lines = file.read_bytes().splitlines()
    except OSError as error:
        raise ConfigurationError(f"cannot read {file}: {error.strerror or error}") from None
    values: dict[Place, bytes] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        place, value = _line(f"{file}:{number}", line)
        if place in values:
            raise ConfigurationError(f"{file}:{number}: the letter {place} is there twice")
        values[place] = value
    return values


class _Line(msgspec.Struct):
    partition: int
    offset: int
    value: msgspec.Raw


def _line(where: str, line: bytes) -> tuple[Place, bytes]:
    try:
        decoded = msgspec.json.decode(line, type=_Line)
        if bytes(decoded.value)[:1] != b"{":
            raise ConfigurationError(f"{where}: `value` is not a JSON object")
    except UNREADABLE as error:
        raise ConfigurationError(
            f'{where}: {error}; a line reads {{"partition": 0, "offset": 17, "value": {{…}}}}'
        ) from None
    return Place(decoded.partition, decoded.offset), bytes(decoded.value)


def assignments(texts: Iterable[str]) -> dict[str, Any]:
    """``field=value`` each, the value JSON where it is that, else text; `ConfigurationError` for anything else."""
    fields: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise ConfigurationError(f"--set {text[:80]!r}: write FIELD=VALUE, such as volume=0")
        try:
            fields[name] = json.loads(value)
        except (ValueError, RecursionError):
            fields[name] = value
    return fields
