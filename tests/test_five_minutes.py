"""docs/plugins.md, "Write a feature in five minutes", followed to the letter."""

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def section() -> str:
    return (ROOT / "docs" / "plugins.md").read_text().split("## Write a feature in five minutes", 1)[1]


def steps() -> list[tuple[str, str]]:
    """(file, its text) for each file that is to be saved, ("", command) for each command, in order."""
    pattern = r"Save this as `(\S+?)`.*?```python\n(.*?)```|^    ((?:alphawire|python) [^\n]+)$"
    found = re.findall(pattern, section(), re.DOTALL | re.MULTILINE)
    return [(file, text) if file else ("", command) for file, text, command in found]


def run(command: str, folder: Path) -> str:
    program, *words = shlex.split(command)
    start = [sys.executable, *(["-m", "alphawire"] if program == "alphawire" else [])]
    done = subprocess.run([*start, *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_following_it_gives_a_certified_plugin(tmp_path) -> None:
    said = []
    for file, text in steps():
        if file:
            (tmp_path / file).write_text(text)
        else:
            said.append(run(text, tmp_path))
    listed, schema, checked, tested = said
    assert "mydesk.range_place" in listed
    assert '"window"' in schema
    assert re.match(r"mydesk\.range_place: passed \d+ checks", checked)
    assert "1 passed" in tested


def test_its_package_names_the_module() -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", section(), re.DOTALL)
    project = tomllib.loads(text)
    assert project["project"]["entry-points"]["alphawire.plugins"] == {"mydesk": "range_place"}
    assert project["tool"]["setuptools"]["py-modules"] == ["range_place"]
