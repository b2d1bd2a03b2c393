"""Published signals by their ids: on the topic, or in a file that `replay` wrote."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from backtest.replay.signal_files import MESSAGE
from schemas.errors import ConfigurationError
from schemas.wire import UNREADABLE, signal_json
from streams.kafka.log import Log

SHORTEST = 4
"""Digits of an id that are enough to name it, where no other begins so."""
SHOWN = 3


class _Named(msgspec.Struct):
    id: str = ""


class _Head(msgspec.Struct):
    """Of a signal only its id: enough to find one whose other fields are damaged."""

    content: _Named = msgspec.field(default_factory=_Named)


_head = msgspec.json.Decoder(_Head)


@dataclass(frozen=True)
class Published:
    """The bytes of one signal as they were published, and its partition (that of its bars)."""

    id: str
    partition: int
    raw: bytes


async def on_topic(log: Log, wanted: Sequence[str]) -> list[Published]:
    """All signals on the topic whose id is, or begins with, one of `wanted`; equal repeats once."""
    signals: list[Published] = []
    for partition in range(await log.partition_count("signals")):
        records = log.records("signals", partition, isolation="read_committed")
        signals += _matching([(partition, signal_json(record.value)) async for record in records], wanted)
    return signals


def in_file(path: Path, wanted: Sequence[str]) -> list[Published]:
    """The same from a file of JSON lines, or of Parquet."""
    lines = lines_of(path)
    signals = _matching([(_partition(line), line) for line in lines], wanted)
    if lines and not signals and all(_id(line) is None for line in lines[:SHOWN]):
        raise ConfigurationError(f"{path} holds no signals as JSON lines; write them with `alphawire replay --out`")
    return signals


def lines_of(path: Path) -> list[bytes]:
    """The bytes of all signals in the file."""
    return _parquet(path) if path.suffix == ".parquet" else _json_lines(path)


def _json_lines(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().splitlines()
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror or error}") from None


def _parquet(path: Path) -> list[bytes]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        column = pq.read_table(path, columns=[MESSAGE]).column(MESSAGE)
        return column.cast(pa.binary()).to_pylist()  # type: ignore[no-any-return]
    except (OSError, KeyError, pa.ArrowException) as error:
        raise ConfigurationError(
            f"{path} cannot be read as signals ({str(error).splitlines()[0]}); write it with"
            " `alphawire replay --out FILE.parquet`"
        ) from None


def chosen(wanted: Sequence[str], signals: Iterable[Published], where: str) -> list[Published]:
    """What `wanted` names, in that order; several for an id that was published with different bytes.

    Raises
    ------
    ConfigurationError
        For an id that is not there, and the beginning of an id that fits several.
    """
    by_id: dict[str, list[Published]] = {}
    for signal in signals:
        by_id.setdefault(signal.id, []).append(signal)
    result: list[Published] = []
    for name in wanted:
        fitting = [name] if name in by_id else sorted(identity for identity in by_id if identity.startswith(name))
        if not fitting:
            raise ConfigurationError(f"there is no signal {name} {where}; an id is the field content.id of a signal")
        if len(name) < SHORTEST or len(fitting) > 1:
            examples = ", ".join(fitting[:SHOWN]) + (", …" if len(fitting) > SHOWN else "")
            raise ConfigurationError(f"{name} begins the ids of {len(fitting)} signals ({examples}); write more of it")
        result += by_id[fitting[0]]
    return result


def _matching(records: Iterable[tuple[int, bytes]], wanted: Sequence[str]) -> list[Published]:
    whole, begins = set(wanted), tuple(wanted)
    distinct: dict[bytes, Published] = {}
    for partition, raw in records:
        identity = _id(raw)
        if identity is not None and (identity in whole or identity.startswith(begins)):
            distinct.setdefault(raw, Published(identity, partition, raw))
    return list(distinct.values())


def _id(raw: bytes) -> str | None:
    try:
        return _head.decode(raw).content.id or None
    except UNREADABLE:
        return None


def _partition(raw: bytes) -> int:
    try:
        plain: Any = msgspec.json.decode(raw)
        return int(plain["provenance"]["partition"])
    except (*UNREADABLE, KeyError, TypeError, ValueError):
        return 0
