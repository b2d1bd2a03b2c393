"""Our packages have common names: another project's `plugins`, `streams`, `schemas` or `backtest` on Python's path."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from plugins.checks.process.session import Process
from schemas.errors import PluginError

ROOT = Path(__file__).parents[2]
PACKAGES = ("schemas", "plugins", "streams", "backtest")
COMMAND = Path(sys.executable).with_name("alphawire")


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)


def foreign(folder: Path, *names: str) -> Path:
    """`folder` with another project's packages in it."""
    for name in names:
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text('"""Another project\'s."""\n')
    return folder


def run(folder: Path, *command: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(list(map(str, command)), cwd=folder, capture_output=True, text=True, check=False)


def line_about(name: str, folder: Path) -> str:
    return f"another package `{name}` hides alphawire's: Python finds {folder / name}, not {ROOT / name}; "


def test_the_kit_runs_beside_another_projects_packages(tmp_path: Path) -> None:
    done = run(foreign(tmp_path, *PACKAGES), COMMAND, "check", "technical.rsi")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("technical.rsi: passed ")


@pytest.mark.parametrize("name", PACKAGES)
def test_python_m_alphawire_beside_one_is_one_line(name: str, tmp_path: Path) -> None:
    done = run(foreign(tmp_path, name), sys.executable, "-m", "alphawire", "plugins")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        f"alphawire: {line_about(name, tmp_path)}"
        "start from another folder, run the command `alphawire` or `python -P`, or rename that package\n"
    )


def test_a_single_file_of_that_name_too(tmp_path: Path) -> None:
    (tmp_path / "streams.py").write_text("")
    done = run(tmp_path, sys.executable, "-m", "alphawire", "--version")
    assert done.returncode == 2
    assert f"Python finds {tmp_path / 'streams.py'}, not {ROOT / 'streams'};" in done.stderr


def test_a_folder_without_init_hides_nothing(tmp_path: Path) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "mine.py").write_text("")
    done = run(tmp_path, sys.executable, "-m", "alphawire", "--version")
    assert done.returncode == 0, done.stderr


def test_a_folder_on_pythonpath(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(foreign(tmp_path, "plugins")))
    for folder in (tmp_path, ROOT.parent):
        done = run(folder, COMMAND, "plugins")
        assert done.returncode == 2
        assert done.stderr == (
            f"alphawire: {line_about('plugins', tmp_path)}"
            f"take {tmp_path} off Python's path (PYTHONPATH, sys.path), or rename that package\n"
        )


@pytest.mark.parametrize(
    ("statement", "hidden"),
    [
        ("import plugins.fold", "schemas"),
        ("from plugins.features import BaseFeature", "schemas"),
        ("import streams.kafka.topics", "schemas"),
        ("import streams.kafka.topics", "plugins"),
        ("import backtest.sweep", "schemas"),
        ("import backtest.sweep", "plugins"),
        ("import backtest.sweep", "streams"),
    ],
)
def test_an_import_in_a_notebook(statement: str, hidden: str, tmp_path: Path) -> None:
    done = run(foreign(tmp_path, hidden), sys.executable, "-c", statement)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        f"ImportError: {line_about(hidden, tmp_path)}start from another folder,"
    )


def test_pytest_in_such_a_folder(tmp_path: Path) -> None:
    foreign(tmp_path, "schemas")
    (tmp_path / "test_mine.py").write_text("import plugins.fold\n")
    done = run(tmp_path, sys.executable, "-m", "pytest", "-p", "no:cacheprovider")
    assert f"ImportError: {line_about('schemas', tmp_path)}" in done.stdout


def test_names_that_an_import_does_not_need_are_free(tmp_path: Path) -> None:
    project = foreign(tmp_path, "streams", "backtest")
    done = run(project, sys.executable, "-c", "from plugins.checks import check_plugin; import streams, backtest")
    assert done.returncode == 0, done.stderr


WORKERS = """
from joblib import Parallel, delayed
from backtest.sweep.workers import workers

if __name__ == "__main__":
    with workers({backend!r}, None):
        places = Parallel(n_jobs=2)(delayed(eval)(f"__import__('{{name}}').__file__") for name in {packages!r})
    print(*places, sep="\\n")
"""


@pytest.mark.parametrize("backend", ["loky", "dask"])
def test_the_processes_of_a_sweep(backend: str, tmp_path: Path) -> None:
    code = WORKERS.format(backend=backend, packages=PACKAGES)
    done = run(foreign(tmp_path, *PACKAGES), sys.executable, "-P", "-c", code)
    assert done.stdout.split() == [str(ROOT / name / "__init__.py") for name in PACKAGES], done.stderr


def test_a_process_of_the_kit_that_does_not_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'OSError: no room' >&2\nexit 3\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(PluginError, match=r"plugins are checked ended at its start: OSError: no room$"):
        Process("1").start()
    python.write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(PluginError, match=r"ended at its start: exit code 3$"):
        Process("1").start()


def unsafe(tree: ast.AST) -> list[int]:
    """Lines of commands that start a Python which finds modules in the working directory."""
    commands = [
        node for node in ast.walk(tree)
        if isinstance(node, ast.List) and node.elts and ast.unparse(node.elts[0]) == "sys.executable"
    ]  # fmt: skip
    return [
        command.lineno for command in commands if not {"'-P'", "'-I'"} & {ast.unparse(word) for word in command.elts}
    ]


def test_every_python_that_we_start_is_safe_from_the_working_directory() -> None:
    assert unsafe(ast.parse("run([sys.executable, '-m', 'alphawire'])\nrun([sys.executable, '-P', '-m', 'x'])")) == [1]
    files = [file for package in (*PACKAGES, "alphawire") for file in sorted((ROOT / package).rglob("*.py"))]
    lines = {file: unsafe(ast.parse(file.read_text(encoding="utf-8"))) for file in files}
    assert {file: found for file, found in lines.items() if found} == {}
