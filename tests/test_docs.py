"""README and docs say what is: links lead somewhere, commands parse, settings and their defaults are all there."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_lines import parse
from pydantic import BaseModel

from alphawire.cli import COMMANDS
from plugins.base.loading.discovery import discover
from plugins.features import feature_registry
from plugins.fold.windowed import batch
from schemas import configuration as c
from streams.kafka.topics import TOPICS
from streams.process.exits import Exit

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/**/*.md")])
SECTIONS = {
    "kafka": c.Kafka,
    "worker": c.Worker,
    "strategies": c.Strategy,
    "news": c.News,
    "model": c.ModelUse,
    "training": c.Training,
    "execution": c.Execution,
}


def commands(page: Path) -> list[str]:
    """Lines of indented blocks that begin with `alphawire` (after environment variables)."""
    return re.findall(r"^    (?:[A-Z_]+=\S+ )*alphawire (.+)$", page.read_text(), re.MULTILINE)


def code(page: str) -> str:
    """The first block of Python that is a whole plugin."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    return next(block for block in blocks if "_registry.register" in block)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        file, _, anchor = target.partition("#")
        linked = (page.parent / file).resolve() if file else page
        assert linked.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", linked.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}, target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_exist_with_their_options(page: Path) -> None:
    for line in commands(page):
        parse(shlex.split(line.replace("STRATEGY", "demo")))


def test_every_command_is_in_the_readme_and_has_an_example() -> None:
    readme = (ROOT / "README.md").read_text()
    examples = {line.split()[0] for line in commands(ROOT / "docs" / "commands.md")}
    for name in COMMANDS:
        assert f"| `alphawire {name}` |" in readme
        assert name in examples


def shown(default: object) -> str:
    return {None: "*none*", "": "*empty*"}.get(
        default, f"`{json.dumps(default) if isinstance(default, bool) else default}`"
    )  # type: ignore[call-overload]


@pytest.mark.parametrize("name", SECTIONS)
def test_every_setting_is_documented_with_its_default(name: str) -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    section = re.split(r"^#+ ", text.split(f"# {name}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", section, re.MULTILINE))
    fields = SECTIONS[name].model_fields
    assert rows.keys() == fields.keys()
    for field, row in rows.items():
        default = fields[field].default
        if fields[field].is_required():
            assert row == "*required*"
        elif not isinstance(default, BaseModel | dict):
            assert row == shown(default), field


def test_every_exit_code_of_a_worker_is_documented() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)] == sorted(Exit)


def test_every_topic_is_documented() -> None:
    text = (ROOT / "docs" / "messages.md").read_text()
    assert set(re.findall(r"^\| `([a-z.-]+)` \| .* \| .* \| .* \|$", text, re.MULTILINE)) == TOPICS.keys()


def test_the_plugin_of_the_readme_is_short_and_listed_without_touching_another_file(tmp_path) -> None:
    source = code("README.md")
    assert len(source.splitlines()) <= 15
    file = tmp_path / "my_feature.py"
    file.write_text(source)
    command = [sys.executable, "-m", "alphawire", "plugins", "--plugins", str(file), "--json"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert '"mydesk.volume_surprise"' in listing


def run_plugin(source: str, key: str, data: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """The columns of the plugin in `source`, as a worker computes them; the registry is left as it was."""
    file = folder / "documented.py"
    file.write_text(source)
    discover([file])
    try:
        return batch(feature_registry.create(key), data)
    finally:
        feature_registry.forget(feature_registry.get(key).__module__)


def bars(count: int) -> pd.DataFrame:
    random = np.random.default_rng(7)
    close = 100.0 + random.normal(size=count).cumsum()
    return pd.DataFrame(
        {
            "open": close + 0.1,
            "high": close + 1,
            "low": close - 1,
            "close": close,
            "volume": random.integers(1, 500, count),
        }
    ).astype(float)


def test_the_plugin_of_the_readme_computes_what_it_says(tmp_path) -> None:
    data = bars(60)
    result = run_plugin(code("README.md"), "mydesk.volume_surprise", data, tmp_path)["volume_surprise"]
    for row in range(60):
        window = data["volume"].iloc[row - 19 : row + 1]
        assert (
            np.isnan(result.iloc[row])
            if row < 19
            else result.iloc[row] == pytest.approx(window.iloc[-1] / window.mean())
        )


def test_the_fold_of_the_docs_computes_what_it_says(tmp_path) -> None:
    data = bars(40)
    result = run_plugin(code("docs/plugins.md"), "mydesk.open_gap", data, tmp_path)["open_gap"]
    pd.testing.assert_series_equal(result, (data["open"] / data["close"].shift() - 1).rename("open_gap"))
