"""A command that was interrupted anywhere ends with 130."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.deadlines import deadline
from tests.support.forked import Forked
from tests.support.live import ROOT, wait_for, write_config

CAUGHT = """
import sys
from alphawire.interruption import end_interrupted
try:
    exec("raise KeyboardInterrupt")
except KeyboardInterrupt:
    {end}
"""


@pytest.mark.parametrize(("end", "code"), [("end_interrupted()", 130), ("sys.exit(130)", -2)])
def test_the_end(tmp_path: Path, end: str, code: int) -> None:
    """The second is why: CPython kills itself after all, also where the exception was caught."""
    (tmp_path / "caught.py").write_text(CAUGHT.format(end=end))
    environment = {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    assert subprocess.run([sys.executable, "-m", "caught"], env=environment, check=False).returncode == code


def test_a_worker_that_is_starting_stops_with_0(tmp_path: Path) -> None:
    """It ended with -15 until it listened for SIGTERM itself, some seconds later."""
    plugin, reached = tmp_path / "waits.py", tmp_path / "reached"
    plugin.write_text(f"import pathlib, signal\npathlib.Path({str(reached)!r}).touch()\nsignal.pause()\n")
    file = tmp_path / "alphawire.yaml"
    write_config(file, "localhost:9", "starting.")
    process = Forked("worker", "-c", str(file), "--plugins", str(plugin), log=tmp_path / "log")
    wait_for(reached.exists)
    process.terminate()
    assert process.wait(deadline(30.0)) == 0
