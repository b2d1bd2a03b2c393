"""What plugin files do while they are imported: no command's output, end or exit code is theirs."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from plugins.base.loading.compilation import require_compilation
from plugins.base.plugin_errors import plugin_errors
from plugins.models.artifacts.loading import check_files
from plugins.models.artifacts.manifest import MAX_FILE_BYTES, check_size, read_manifest
from plugins.models.artifacts.saving import save_artifact
from plugins.pipeline.isolation import feed_isolated
from plugins.pipeline.run_settings import unmeasured
from schemas.errors import ArtifactError, ConfigurationError, PluginError
from tests.support.deadlines import deadline

FILES = {
    "speaks": """
        import os, sys, subprocess
        from plugins.features import BaseFeature, feature_registry
        print("hello from the plugin")
        sys.stdout.write("and again\\n")
        os.write(1, b"as a C library would\\n")
        subprocess.run(["echo", "from a child"])

        @feature_registry.register("mydesk.technical.speaks")
        class Speaks(BaseFeature):
            def compute(self, data):
                return data[["close"]]
        """,
    "ends": """
        class End(BaseException):
            pass
        raise End("all of it")
        """,
    "lives_on": """
        import threading, time
        threading.Thread(target=time.sleep, args=(100_000,), name="of mydesk").start()
        """,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        lines = text.strip("\n").splitlines()
        (tmp_path / f"{name}.py").write_text("\n".join(line.removeprefix(" " * 8) for line in lines))
    return tmp_path


def alphawire(*words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "alphawire", *words]
    return subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, timeout=deadline(60), check=False
    )


def test_json_is_all_of_the_output_and_the_command_ends(folder: Path) -> None:
    done = alphawire("plugins", "features", "--json", "--plugins", str(folder))
    assert done.returncode == 0, done.stderr
    listing = json.loads(done.stdout)
    assert "mydesk.technical.speaks" in [entry["key"] for entry in listing["plugins"]]
    (fault,) = listing["faults"]
    assert fault["name"].endswith("ends.py")
    assert fault["fault"] == "End: all of it"
    for words in ("hello from the plugin", "and again", "as a C library would", "from a child"):
        assert words in done.stderr
    assert "of mydesk: a thread that does not end is left" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_compilation_nothing_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = alphawire("plugins", NUMBA_DISABLE_JIT="1")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("alphawire: NUMBA_DISABLE_JIT is set")
    assert done.stderr.count("\n") == 1
    for value, fine in (("0", True), ("", True), ("1", False), ("2", False)):
        monkeypatch.setenv("NUMBA_DISABLE_JIT", value)
        if fine:
            require_compilation()
        else:
            with pytest.raises(ConfigurationError):
                require_compilation()


def test_nor_does_it_where_a_file_says_so(tmp_path: Path) -> None:
    """numba reads it where the command runs."""
    (tmp_path / ".numba_config.yaml").write_text("disable_jit: 1\n")
    command = [sys.executable, "-m", "alphawire", "plugins"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=deadline(60), check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("alphawire: numba is told not to compile, by disable_jit in .numba_config.yaml")


class Odd(BaseException):
    pass


@pytest.mark.parametrize("error", [SystemExit(3), Odd("odd"), ValueError("bad")])
def test_whatever_a_plugin_raises_is_its_fault(error: BaseException) -> None:
    said = f"mine: predict failed: {type(error).__name__}"
    with pytest.raises(PluginError, match=said), plugin_errors("mine", "predict"):
        raise error
    failure = feed_isolated(Run(error), Bars()).failure  # type: ignore[arg-type]
    assert failure is not None
    assert failure.error is error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), asyncio.CancelledError()])
def test_what_ends_a_command_or_a_task_is_not(error: BaseException) -> None:
    with pytest.raises(type(error)), plugin_errors("mine", "predict"):
        raise error
    with pytest.raises(type(error)):
        feed_isolated(Run(error), Bars())  # type: ignore[arg-type]


class Run:
    """A strategy's run that fails."""

    strategy = SimpleNamespace(name="demo")
    lap = staticmethod(unmeasured)

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def save(self, slots: Any) -> None:
        """Nothing to save."""

    def rewind(self, saved: Any) -> None:
        """Nothing to rewind."""

    def step(self, bars: Any) -> Any:
        return SimpleNamespace(features=bars, error=None)

    def feed(self, features: Any) -> None:
        raise self._error


class Bars:
    """One bar."""

    slots = offsets = np.zeros(1, np.int64)

    def __len__(self) -> int:
        return 1

    @property
    def accepted(self) -> "Bars":
        return self

    def describe(self, row: int) -> str:
        return "AAPL at 0"


def test_a_link_that_leads_nowhere(tmp_path: Path) -> None:
    """One that leads to an artifact is followed, as tests/plugins/test_artifacts.py shows."""
    nowhere, circle = tmp_path / "nowhere", tmp_path / "circle"
    nowhere.symlink_to(tmp_path / "gone")
    circle.symlink_to(circle)
    for path in (nowhere, circle):
        with pytest.raises(ArtifactError, match=f"{path.name} is a link that leads nowhere"):
            read_manifest(path)
        with pytest.raises(ArtifactError, match=f"{path.name} is a link that leads nowhere"):
            save_artifact(None, path, columns=[], training=None, rows=np.zeros((0, 0)))  # type: ignore[arg-type]


def test_a_model_file_of_gigabytes(tmp_path: Path) -> None:
    """It is not read: three gigabytes that are on no disk."""
    with (tmp_path / "model.txt").open("wb") as file:
        file.truncate(3 << 30)
    manifest = SimpleNamespace(files={"model.txt": "0" * 64})
    with pytest.raises(ArtifactError, match=r"model\.txt has 3\.0 GiB, and a worker takes at most 2; train a smaller"):
        check_files(tmp_path, manifest)  # type: ignore[arg-type]
    with (tmp_path / "model.txt").open("wb") as file:
        file.truncate(MAX_FILE_BYTES)
    check_size(tmp_path / "model.txt")


@pytest.mark.parametrize(
    ("thread", "code"), [("", 0), ("threading.Thread(target=time.sleep, args=(100_000,)).start()", 3)]
)
def test_a_pool_of_joblib_ends_with_the_command(thread: str, code: int) -> None:
    script = f"""
import threading, time
before = set(threading.enumerate())
from joblib import Parallel, delayed
from alphawire.interruption import leave_threads
Parallel(2)(delayed(abs)(number) for number in (1, 2))
{thread}
leave_threads(before, 3)
"""
    done = subprocess.run([sys.executable, "-c", script], timeout=deadline(60), check=False)
    assert done.returncode == code
