"""A command that was interrupted anywhere ends with 130."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.live import ROOT

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
