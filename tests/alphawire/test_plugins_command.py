"""``alphawire plugins`` as a user meets it."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from alphawire.cli import main
from tests.support.registries import untouched_registries

EXAMPLES = Path(__file__).parents[2] / "examples" / "plugins"


@pytest.fixture(autouse=True)
def _untouched() -> Iterator[None]:
    with untouched_registries():
        yield


@pytest.fixture
def run(monkeypatch, capsys):
    """Exit code, standard output and standard error of ``alphawire plugins …``."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["alphawire", "plugins", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        told = capsys.readouterr()
        return int(end.value.code or 0), told.out, told.err

    return run


def test_the_table_shows_keys_parameters_cost_and_availability(run):
    code, out, err = run()
    assert (code, err) == (0, "")
    for category in ("features", "models", "signals", "engines"):
        assert f"\n{category}" in f"\n{out}"
    (line,) = [line for line in out.splitlines() if "statistical.z_score" in line]
    assert line.split()[1:5] == ["window=20,", "column=close", "compiled", "yes"]


def test_one_category(run):
    code, out, _ = run("signals")
    assert code == 0
    assert "signal.threshold" in out
    assert "technical.rsi" not in out


def test_json_is_for_programs(run):
    code, out, err = run("features", "--json", "--plugins", EXAMPLES)
    listing = json.loads(out)
    assert (code, err, listing["faults"]) == (0, "", [])
    entries = {entry["key"]: entry for entry in listing["plugins"]}
    assert entries["technical.ema_cross"]["distribution"] == "file"
    assert {entry["category"] for entry in entries.values()} == {"features"}


def test_the_schema_of_one_plugin(run):
    code, out, _ = run("--schema", "technical.rsi")
    assert code == 0
    assert json.loads(out)["properties"]["period"]["default"] == 14


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("featurs",), "alphawire: there is no category 'featurs'; did you mean features?\n"),
        (("xyz",), "alphawire: there is no category 'xyz'; there is: features, models, signals, engines\n"),
        (
            ("--schema", "technical.rsx"),
            "alphawire: there is no plugin 'technical.rsx'; did you mean technical.rsi or technical.atr?\n",
        ),
        (("--plugins", "gone.py"), "alphawire: --plugins gone.py: there is no such file or folder\n"),
    ],
)
def test_wrong_use_is_one_line(run, arguments, told):
    assert run(*arguments) == (2, "", told)


def test_faults_come_at_the_end_and_do_no_harm(run, tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text("import no_such_library\n")
    code, out, err = run("--plugins", broken, "--plugins", EXAMPLES / "ridge.py")
    assert code == 0
    assert "technical.rsi" in out
    assert "ml.ridge" in out
    assert err == (
        f"faulty plugin {broken}: No module named 'no_such_library'; "
        "install no_such_library, or import it inside the method that uses it\n"
    )


def test_a_key_that_is_there_twice_is_one_line(run, tmp_path):
    second = tmp_path / "second.py"
    second.write_text((EXAMPLES / "ema_cross.py").read_text())
    code, out, err = run("--plugins", EXAMPLES / "ema_cross.py", "--plugins", second)
    assert (code, out) == (2, "")
    assert err.startswith("alphawire: the key 'technical.ema_cross' is registered twice in features: by ")
    assert err.count("\n") == 1
    for path in (EXAMPLES / "ema_cross.py", second):
        assert str(path) in err
