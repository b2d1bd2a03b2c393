"""A file or a folder that is there whole or not at all: written aside, flushed to disk, renamed."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A path beside `path`, to write a file or a folder to, which takes the place of `path` at the end.

    After an exception `path` is as it was, and nothing lies beside it. A process that is killed may leave what ends in
    ``.part``.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic_write(Path(folder, "signals.jsonl")) as aside:
    ...         _ = aside.write_bytes(b"{}")
    ...     os.listdir(folder)
    ['signals.jsonl']
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    _remove(aside)  # of a dead process that had our number
    try:
        yield aside
        move_into_place(aside, path)
    finally:
        _remove(aside)


def move_into_place(aside: Path, path: Path) -> None:
    """Gives what lies at `aside`, on the same disk, the name `path`; what had that name is gone then."""
    for file in aside.rglob("*") if aside.is_dir() else [aside]:
        if file.is_file():
            _to_disk(file)
    if not (aside.is_dir() and path.is_dir()):
        aside.replace(path)
        return
    # rename(2) puts no folder in the place of one that is not empty
    old = path.with_name(f".{path.name}.{os.getpid()}.old.part")
    path.replace(old)
    try:
        aside.replace(path)
    except OSError:
        old.replace(path)
        raise
    _remove(old)


def _to_disk(file: Path) -> None:
    """Without this the name may outlive a power failure, and the content not."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()
