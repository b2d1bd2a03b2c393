"""Signals to a file: JSON lines, or Parquet; whole or not at all, and as they come."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from plugins.pipeline.records.signals import Signals
from schemas.atomic import atomic_write
from schemas.errors import ConfigurationError
from schemas.wire import Signal, encode

MESSAGE = "message"
"""Column of a Parquet file of signals: the whole signal, as it is on the wire."""
COLUMNS = {
    "id": "string", "strategy": "string", "symbol": "string", "time": "int64", "weight": "float64", "reason": "string",
    "prediction": "float64", "config_hash": "string", "gap": "int64", "valid_until": "int64", "silent_until": "int64",
    "signal": "string", "model": "string", "topic": "string", "partition": "int64", "offset": "int64",
    MESSAGE: "binary",
}  # fmt: skip
"""Of such a file, and their types in Arrow."""
Write = Callable[[Sequence[Signal]], Any]


def write_signals(signals: Sequence[Signal], out: Path) -> None:
    """JSON lines, or Parquet for a name that ends so."""
    with signal_file(out) as write:
        write(signals)


@contextlib.contextmanager
def signal_file(out: Path) -> Iterator[Write]:
    """The value writes some signals after the others; the file is there when the block ends."""
    check_file(out)
    try:
        with atomic_write(out) as aside, _parquet(aside) if out.suffix == ".parquet" else _lines(aside) as write:
            yield write
    except OSError as error:
        raise ConfigurationError(f"{out} cannot be written: {error.strerror or error}") from None


def check_file(out: Path) -> None:
    """`ConfigurationError` when `out` cannot become a file: known before the work, not after it."""
    if out.is_dir():
        raise ConfigurationError(f"{out} is a folder; name a file, such as {out / 'signals.jsonl'}")
    if not out.absolute().parent.is_dir():
        raise ConfigurationError(f"there is no folder {out.absolute().parent} to write {out.name} to; make it first")


@contextlib.contextmanager
def _lines(path: Path) -> Iterator[Write]:
    with path.open("wb") as file:
        yield lambda signals: file.writelines(_json_lines(signals))


def _json_lines(signals: Sequence[Signal]) -> Iterator[bytes]:
    """What are columns is written as such."""
    if not isinstance(signals, Signals):
        yield from (encode(signal) + b"\n" for signal in signals)
        return
    for part in signals.columns:
        rendered = part.rendered()
        yield np.insert(rendered.data, rendered.ends, ord("\n")).tobytes()


@contextlib.contextmanager
def _parquet(path: Path) -> Iterator[Write]:
    import pyarrow
    import pyarrow.parquet

    schema = pyarrow.schema([(name, getattr(pyarrow, kind)()) for name, kind in COLUMNS.items()])
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        yield lambda signals: writer.write_table(pyarrow.Table.from_pylist([_row(each) for each in signals], schema))


def _row(signal: Signal) -> dict[str, Any]:
    content, provenance = signal.content, signal.provenance
    row = {name: getattr(content, name) for name in content.__struct_fields__ if name not in ("signal", "model")}
    row |= {"signal": str(content.signal), "model": content.model.sha256 if content.model else None}
    row |= {"topic": provenance.topic, "partition": provenance.partition, "offset": provenance.offset}
    return row | {MESSAGE: encode(signal)}
