"""``alphawire models push|pull`` against MLflow's own file store in a folder: no server, nothing replaced."""

import json
import sys
from pathlib import Path

import pytest
import yaml

from alphawire.cli import main
from schemas.errors import ConfigurationError

EXAMPLES = Path(__file__).parents[2] / "examples"
BARS = EXAMPLES / "data" / "equities_minute.parquet"


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Exit code, standard output and standard error of ``alphawire …``, in a folder with a configuration and a
    store."""
    config = yaml.safe_load((EXAMPLES / "alphawire.yaml").read_text())
    config["strategies"]["demo"]["model"]["params"] = {"n_estimators": 2}
    config["strategies"]["plain"] = config["strategies"]["demo"] | {"prediction": "rsi", "model": None}
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(config))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file:{tmp_path / 'store'}")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # MLflow 3 keeps its file store, and asks for this

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["alphawire", *map(str, arguments), "-c", "a.yaml"])
        with pytest.raises(SystemExit) as end:
            main()
        told = capsys.readouterr()
        return int(end.value.code or 0), told.out, told.err

    return run


@pytest.fixture
def trained(run):
    assert run("train", "demo", "--bars", BARS, "--to", "2013-10-08")[0] == 0
    return Path("models/demo")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_what_is_pushed_comes_back_to_the_byte(run, trained):
    (trained / "notes.md").write_text("mine, and not to be kept")
    code, out, err = run("models", "push", "demo")
    assert (code, err) == (0, "")
    first = out.split("in run ")[1].split()[0]
    before = contents(trained)
    assert run("train", "demo", "--bars", BARS, "--to", "2013-10-09")[0] == 0
    other = contents(trained)
    assert run("models", "push", "demo")[0] == 0

    code, out, err = run("models", "pull", "demo", "--run", first)
    assert (code, err) == (0, "")
    assert first in out
    assert contents(trained) == before
    code, out, _ = run("models", "pull", "demo", "--out", "elsewhere/newest")
    assert code == 0
    assert contents(Path("elsewhere/newest")) == {name: data for name, data in other.items() if name != "notes.md"}
    assert [path.name for path in Path("elsewhere").iterdir()] == ["newest"]


def test_without_settings_it_is_mlflows_own_default(run, trained, monkeypatch):
    """As the documentation has it, from nothing: an SQLite file and a folder, made here."""
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_ALLOW_FILE_STORE"):
        monkeypatch.delenv(name)
    before = contents(trained)
    code, _, err = run("models", "push", "demo")
    assert (code, err) == (0, "")
    assert Path("mlflow.db").exists()
    (trained / "manifest.json").unlink()
    assert run("models", "pull", "demo", "--out", "came")[0] == 0
    assert contents(Path("came")) == before


@pytest.mark.parametrize("absent", ["sqlalchemy", "alembic"])
def test_an_mlflow_that_lacks_what_its_store_needs(run, trained, monkeypatch, absent):
    from plugins.models.artifacts import mlflow_store

    def refuse():
        raise ModuleNotFoundError(f"No module named '{absent}'", name=absent)

    monkeypatch.setattr("mlflow.MlflowClient", refuse)
    with pytest.raises(ConfigurationError, match=rf"^MLflow needs {absent} for its store: pip install"):
        mlflow_store.push("demo", trained)


@pytest.mark.parametrize("spoiled", ["model-*", "selftest-*", "manifest.json"])
def test_what_was_changed_in_the_store_is_refused_and_the_old_one_stays(run, trained, spoiled):
    assert run("models", "push", "demo")[0] == 0
    before = contents(trained)
    (path,) = Path("store").rglob(f"artifacts/artifact/{spoiled}")
    if spoiled == "manifest.json":
        manifest = json.loads(path.read_text())
        manifest["training"]["rows"] += 1
        path.write_text(json.dumps(manifest))
    else:
        path.write_bytes(path.read_bytes() + b" ")
    code, out, err = run("models", "pull", "demo")
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert "SHA-256 differs" in err
    assert contents(trained) == before
    assert [path.name for path in Path("models").iterdir()] == ["demo"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["push", "plain"], "strategies.plain: it has no model, so there is no artifact"),
        (["push", "demo"], "there is no model artifact"),
        (["pull", "demo"], "MLflow's experiment alphawire holds no artifact of demo; `alphawire models push` puts one"),
        (["pull", "demo", "--run", "0123"], "MLflow: Run '0123' not found"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(run, arguments, message):
    code, out, err = run("models", *arguments)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert message in err


def test_without_the_library_the_line_to_install_it(run, trained, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    assert run("models", "push", "demo") == (2, "", "alphawire: this needs MLflow: pip install 'alphawire[mlflow]'\n")
