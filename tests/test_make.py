"""The Makefile takes a Python that is supported and starts, and makes an environment of another one anew."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NAMES = ("python3.14", "python3.13", "python3.12", "python3.11", "python3", "python")
UV_VERSION = re.search(r"^UV_VERSION := (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
PRETENDER = """#!/bin/sh
exec {python} -c 'import platform, sys
platform.python_version = lambda: "{version}"
sys.version_info = ({numbers})
sys.executable = "{path}"
exec(sys.argv[2])' "$@"
"""
SHIM = "#!/bin/sh\necho 'the command exists in these Python versions: 3.13.0' >&2\nexit 127\n"


class Machine:
    """A folder of programs that say they are Pythons of some version, and a virtual environment."""

    def __init__(self, folder: Path) -> None:
        self.programs, self.venv = folder / "bin", folder / "venv"
        for part in (self.programs, self.venv):
            part.mkdir()
        for name in NAMES:
            self._write(name, SHIM)

    def has(self, name: str, version: str) -> None:
        numbers = version.replace(".", ", ")
        path = self.programs / name
        self._write(name, PRETENDER.format(python=sys.executable, version=version, numbers=numbers, path=path))

    def installed(self, version: str) -> None:
        """As `make install` leaves it."""
        (self.venv / f".python-{version}-uv-{UV_VERSION}").touch()
        (self.venv / ".dev").touch()

    def make(self, *words: str) -> "subprocess.CompletedProcess[str]":
        path = f"{self.programs}{os.pathsep}{os.environ['PATH']}"
        clean = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
        command = ["make", f"VENV={self.venv}", *words]
        return subprocess.run(command, cwd=ROOT, env=clean | {"PATH": path}, capture_output=True, text=True)

    def makes_environment_with(self, *words: str) -> str:
        """Name of the program that ``make install`` makes the environment with; none if it keeps the one there is."""
        run = self.make("--dry-run", "install", *words)
        assert run.returncode == 0, run.stderr
        found = re.search(rf"^{re.escape(str(self.programs))}/(\S+) -m venv --clear", run.stdout, re.MULTILINE)
        return found[1] if found else ""

    def _write(self, name: str, text: str) -> None:
        (self.programs / name).write_text(text)
        (self.programs / name).chmod(0o755)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_newest_supported_python_that_starts_is_taken(machine) -> None:
    machine.has("python3.11", "3.11.7")
    machine.has("python3.12", "3.12.10")
    machine.has("python3", "3.12.9")
    machine.has("python", "3.15.0")
    assert machine.makes_environment_with() == "python3.12"
    machine.has("python3", "3.13.1")
    assert machine.makes_environment_with() == "python3"


def test_the_python_that_is_asked_for_is_taken(machine) -> None:
    machine.has("python3.11", "3.11.7")
    machine.has("python3.13", "3.13.0")
    assert machine.makes_environment_with("PYTHON=python3.11") == "python3.11"


@pytest.mark.parametrize("version", ["3.10.13", "3.15.0"])
def test_without_a_supported_python_one_line_says_so(machine, version) -> None:
    machine.has("python3", version)
    run = machine.make("install")
    assert run.returncode != 0
    assert run.stderr.startswith("alphawire needs Python 3.11 to 3.14, and none of these is one here: python3.14 ")


def test_an_environment_of_another_python_is_made_anew(machine) -> None:
    machine.has("python3.11", "3.11.7")
    machine.installed("3.11.7")
    assert machine.makes_environment_with() == ""
    machine.has("python3.13", "3.13.0")
    assert machine.makes_environment_with() == "python3.13"
    assert machine.makes_environment_with("PYTHON=python3.11") == ""


def test_a_missing_venv_module_is_told_by_the_package_of_that_python(machine) -> None:
    machine.has("python3.13", "3.13.0")
    assert "apt-get install python3.13-venv" in machine.make("--dry-run", "install").stdout


def test_another_python_has_an_environment_of_its_own_and_its_lack_is_told(machine) -> None:
    machine.has("python3.13", "3.13.99")
    ours = machine.make("--dry-run", "venv-3.13", "PYTHON=python3.11", f"PYENV={machine.venv}").stdout
    assert f"{machine.programs}/python3.13 -m venv --clear .venv-3.13" in ours
    assert machine.make("venv-3.12", f"PYENV={machine.venv}").stdout == "skipped: there is no Python 3.12 here\n"
