"""The import paths that plugin authors rely on: those promised here, and all that the docs and the examples show."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from schemas.export import TOPICS

ROOT = Path(__file__).parents[1]
PROMISED = {
    "plugins.base": [
        "BaseBacktestEngine", "BaseFeature", "BaseModel", "BaseSignalGenerator", "Decisions", "FloatArray", "Params",
        "Plugin", "name_of", "usable_decision",
    ],
    "plugins.checks": ["Finding", "Report", "Session", "Target", "check_plugin", "target_of", "targets_of_file"],
    "plugins.columns": ["column_fault"],
    "plugins.cross_sectional": ["CrossSectionGenerator", "Ranked"],
    "plugins.engines": ["BaseBacktestEngine", "engine_registry"],
    "plugins.features": ["BaseFeature", "feature_registry"],
    "plugins.fold": ["Column", "FeatureParams", "Field", "FoldFeature", "StepParam", "column_of"],
    "plugins.folded": ["FoldedSignalGenerator"],
    "plugins.models": ["BaseModel", "model_registry"],
    "plugins.news": ["joined", "with_news"],
    "plugins.scorers": ["Scorer", "Sentiment", "open_scorer", "scorers"],
    "plugins.sequence": ["SequenceModel"],
    "plugins.signals": ["BaseSignalGenerator", "signal_registry"],
    "schemas.errors": [
        "AlphawireError", "ArtifactError", "BadRecord", "BrokerError", "ConfigurationError", "PluginError",
    ],
}  # fmt: skip
"""Module → the names in it. An entry may be added, and none may go."""

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
SOURCES = [*sorted((ROOT / "examples").rglob("*.py")), *sorted((ROOT / "tests/support/mydesk_package").rglob("*.py"))]
# Not the end of a longer name (a topic's prefix, an entry point), nor a file's name.
DOTTED = re.compile(r"(?<![\w./-])(?:plugins|schemas)(?:\.[A-Za-z_]\w*)+(?![\w/])")
IMPORT = re.compile(r"^\s*from ((?:plugins|schemas)[\w.]*) import ([\w, ]+)", re.MULTILINE)
FILES = {"md", "py", "yaml", "yml", "json", "toml"}

IMPORTER = """
import asyncio, difflib, gc, importlib, json, os, ssl, sys
# shared by the forks; of ours each imports its path first
import msgspec, numba, pandas, pydantic.main, pydantic_settings.main
gc.freeze()

def fault(path, names):
    module, rest = path, []
    while True:
        try:
            found = importlib.import_module(module)
            break
        except ModuleNotFoundError as error:
            if names or not (module + ".").startswith(error.name + "."):
                return f"{path}: {error!r}"
            module, _, last = module.rpartition(".")  # a class or a function, by its full name
            rest.insert(0, last)
    for name in rest:
        if not hasattr(found, name):
            return f"{path}: there is no {name} in {module}"
        found = getattr(found, name)
    missing = [name for name in names if not hasattr(found, name)]
    return f"{path}: there is no {', '.join(missing)}" if missing else None

for path, names in json.load(sys.stdin):
    if os.fork() == 0:
        text = fault(path, names)
        if text:
            print(text, flush=True)
        os._exit(0)
    code = os.wait()[1]
    if code:
        print(f"{path}: the process ended: {code}", flush=True)
"""


def faults(paths: list[tuple[str, list[str]]]) -> list[str]:
    """What is missing of module (or module and name) → names, where nothing else of ours was imported before."""
    unique = [json.loads(path) for path in dict.fromkeys(map(json.dumps, paths))]
    done = subprocess.run(
        [sys.executable, "-c", IMPORTER], input=json.dumps(unique), cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def shown_in(page: str) -> Iterator[tuple[str, list[str]]]:
    """The paths that the text of a page names or imports."""
    for path in DOTTED.findall(page):
        if path not in TOPICS and path.rpartition(".")[2] not in FILES:
            yield path, []
    for module, names in IMPORT.findall(page):
        yield module, [name.strip() for name in names.split(",")]


def imported_by(source: str) -> Iterator[tuple[str, list[str]]]:
    """The imports of an example from our packages."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in ("plugins", "schemas"):
            yield node.module or "", [alias.name for alias in node.names]


def test_every_promised_path_is_there() -> None:
    assert faults(list(PROMISED.items())) == []


def test_every_path_in_the_docs_and_examples_is_there() -> None:
    paths = [path for page in PAGES for path in shown_in(page.read_text(encoding="utf-8"))]
    paths += [path for source in SOURCES for path in imported_by(source.read_text(encoding="utf-8"))]
    assert {module for module, _ in paths} >= {"plugins.fold", "plugins.models", "plugins.news.with_news"}
    assert faults(paths) == []


def test_what_is_missing_is_found() -> None:
    page = "`plugins.folds`, `plugins.fold.Feature`, [x](plugins.md), `dev.plugins.fold`, `plugins.requests`\n"
    paths = [*shown_in(page), *imported_by("from plugins.base import Params, Parms\nfrom schemas.eror import X\n")]
    assert faults(paths) == [
        "plugins.folds: there is no folds in plugins",
        "plugins.fold.Feature: there is no Feature in plugins.fold",
        "plugins.base: there is no Parms",
        "schemas.eror: ModuleNotFoundError(\"No module named 'schemas.eror'\")",
    ]
