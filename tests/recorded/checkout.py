"""A checkout of the code with a Python of its own: its commands run as processes that import nothing else."""

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("schemas", "plugins", "streams", "alphawire")
BROKER = 10
"""The documented exit code of a worker whose broker does not answer in time."""
BOOT = f"""
import importlib, pathlib, runpy, sys
root = pathlib.Path(sys.argv.pop(1)).resolve()
for name in {PACKAGES!r}:
    file = pathlib.Path(importlib.import_module(name).__file__).resolve()
    print(f"recorded: {{name}} is {{file}}", file=sys.stderr, flush=True)
    if not file.is_relative_to(root):
        sys.exit(f"recorded: {{name}} is not that of {{root}}")
runpy.run_module("alphawire", run_name="__main__", alter_sys=True)
"""
"""First the proof of whose code runs, then the command."""


class RunError(Exception):
    """A recording cannot go on; the message says where and why."""


@dataclass(frozen=True)
class Checkout:
    """The code under `root`, run by `python`; `label` is its name in reports."""

    label: str
    root: Path
    python: Path
    failpoints: Mapping[str, str] = field(default_factory=dict)
    """Names of failpoints in this code, where they are others than the story's."""

    def command(self, *words: str) -> list[str]:
        """``alphawire WORDS``, without the working directory on the path."""
        return [str(self.python), "-P", "-c", BOOT, str(self.root), *words]

    def environment(self, **more: str) -> dict[str, str]:
        """The checkout first on the path, before what its Python has installed; no setting of the caller's."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("ALPHAWIRE_") and name != "PYTHONDONTWRITEBYTECODE"
        }
        return kept | {"PYTHONPATH": str(self.root)} | more

    def run(self, *words: str, folder: Path) -> str:
        """What a command prints; `RunError` with its last lines where it fails."""
        done = subprocess.run(
            self.command(*words), cwd=folder, env=self.environment(), capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RunError(
                f"{self.label}: alphawire {' '.join(words)} ended with {done.returncode}: {done.stderr[-2000:]}"
            )
        return done.stdout


class Life:
    """A command of a checkout that runs until it is killed or stopped: a worker or a scorer."""

    def __init__(self, checkout: Checkout, words: Sequence[str], log: Path, failpoint: str = "") -> None:
        self.checkout, self.log = checkout, log
        name, _, count = failpoint.partition("=")
        more = {"ALPHAWIRE_FAILPOINTS": f"{checkout.failpoints.get(name, name)}={count}"} if failpoint else {}
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                checkout.command(*words), cwd=log.parent, env=checkout.environment(**more), stdout=output, stderr=output
            )

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    @property
    def gave_up(self) -> bool:
        """A broker that was too slow: whoever supervises a worker starts it again."""
        return self._process.poll() == BROKER

    @property
    def killed(self) -> bool:
        """By SIGKILL: the harness's, or that of a failpoint."""
        return self._process.poll() == -signal.SIGKILL

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def stop(self, seconds: float = 90.0) -> None:
        """In good order; `RunError` where it is not."""
        self._process.terminate()
        if code := self._process.wait(seconds):
            raise RunError(f"{self.checkout.label}: it ended with {code}: {self.last_words()}")

    def check_code(self) -> None:
        """That it was the checkout's code which ran."""
        lines = self.log.read_text(errors="replace").splitlines()
        there = [line for line in lines if line.startswith("recorded: ")]
        named = {line.split()[1] for line in there if f"is {self.checkout.root.resolve()}/" in line}
        if named != set(PACKAGES):
            raise RunError(f"{self.checkout.label}: its log does not show its own packages: {there}")

    def last_words(self) -> str:
        return self.log.read_text(errors="replace")[-2000:]


def install(root: Path) -> Path:
    """The Python of the checkout, which is made if it is missing."""
    python = root / ".venv" / "bin" / "python"
    if not python.exists():
        subprocess.run([shutil.which("make") or "make", "-C", str(root), "install"], check=True)
    return python


def worktree(name: str, folder: Path) -> Path:
    """The checkout of that path, or of that revision of the repository here: then in `folder`."""
    if Path(name).is_dir():
        return Path(name)
    root = folder / "before"
    if not root.exists():
        subprocess.run(["git", "worktree", "add", "--detach", str(root), name], cwd=ROOT, check=True)
    return root
