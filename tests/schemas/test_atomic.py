"""What is written takes the place of what was there whole, or not at all."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from schemas import atomic
from schemas.atomic import atomic_write


def write_file(path: Path, text: str) -> None:
    with atomic_write(path) as aside:
        aside.write_text(text)


def write_folder(path: Path, text: str) -> None:
    with atomic_write(path) as aside:
        (aside / "inner").mkdir(parents=True)
        (aside / "inner" / "a").write_text(text)
        (aside / "b").write_text(text)


def content(path: Path) -> set[str]:
    """All texts below: one, where it is whole."""
    return {file.read_text() for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file()}


def fail_after(write: Callable[[Path, str], None], path: Path) -> None:
    write(path, "two")
    raise ZeroDivisionError


WRITERS = pytest.mark.parametrize("write", [write_file, write_folder])


@WRITERS
def test_it_takes_the_place_and_leaves_nothing_beside(tmp_path: Path, write: Callable[[Path, str], None]) -> None:
    for text in ("one", "two"):
        write(tmp_path / "out", text)
        assert content(tmp_path / "out") == {text}
        assert os.listdir(tmp_path) == ["out"]


@WRITERS
def test_after_an_exception_all_is_as_it_was(tmp_path: Path, write: Callable[[Path, str], None]) -> None:
    write(tmp_path / "out", "one")
    with pytest.raises(ZeroDivisionError), atomic_write(tmp_path / "out") as aside:
        fail_after(write, aside)
    assert content(tmp_path / "out") == {"one"}
    assert os.listdir(tmp_path) == ["out"]


def test_a_folder_whose_successor_cannot_be_renamed_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(tmp_path / "out", "one")
    replace = Path.replace

    def refuse(self: Path, target: Path) -> Path:
        if self.name.endswith(f"{os.getpid()}.part"):
            raise OSError(28, "No space left on device")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match="No space left"):
        write_folder(tmp_path / "out", "two")
    assert content(tmp_path / "out") == {"one"}
    assert os.listdir(tmp_path) == ["out"]


def test_the_content_is_on_disk_before_it_has_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    flush, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: (steps.append("fsync"), flush(descriptor))[1])
    monkeypatch.setattr(Path, "replace", lambda self, to: (steps.append("rename"), replace(self, to))[1])
    write_file(tmp_path / "file", "one")
    assert steps == ["fsync", "rename"]
    steps.clear()
    write_folder(tmp_path / "folder", "one")
    assert steps == ["fsync", "fsync", "rename"]


def killed_at(step: int, write: Callable[[Path, str], None], path: Path) -> bool:
    """A process that writes ``two`` and is killed at its `step`-th system call of these; False: it came to its end."""
    child = os.fork()
    if child == 0:
        left = step

        def maybe() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        flush, replace = atomic._to_disk, Path.replace
        atomic._to_disk = lambda file: (maybe(), flush(file), maybe())[1]  # type: ignore[assignment]
        Path.replace = lambda self, to: (maybe(), replace(self, to), maybe())[1]  # type: ignore[assignment, method-assign]
        code = 1
        try:
            write(path, "two")
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status) == signal.SIGKILL
    assert os.waitstatus_to_exitcode(status) == 0
    return False


@pytest.mark.parametrize(("write", "moments"), [(write_file, 4), (write_folder, 8)])
def test_killed_at_any_moment_it_leaves_one_or_the_other(
    tmp_path: Path, write: Callable[[Path, str], None], moments: int
) -> None:
    kills = 0
    while True:
        write(tmp_path / "out", "one")
        if not killed_at(kills + 1, write, tmp_path / "out"):
            break
        kills += 1
        # between its two renames a folder has neither, and the old one lies beside
        assert content(tmp_path / "out") in ({"one"}, {"two"}, set())
        write(tmp_path / "out", "three")
        assert content(tmp_path / "out") == {"three"}
        for leftover in tmp_path.glob(".*.part"):
            atomic._remove(leftover)
    assert kills == moments
