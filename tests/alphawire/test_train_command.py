"""``alphawire train`` as a user meets it, on the real bars that the project ships."""

import json
import sys
from pathlib import Path

import pytest

from alphawire.cli import main
from plugins.artifacts import read_manifest

EXAMPLES = Path(__file__).parents[2] / "examples"
BARS = EXAMPLES / "data" / "equities_minute.parquet"


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Exit code, standard output and standard error of ``alphawire train …``, run in an empty folder."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(
            sys, "argv", ["alphawire", "train", *map(str, arguments), "-c", str(EXAMPLES / "alphawire.yaml")]
        )
        with pytest.raises(SystemExit) as end:
            main()
        told = capsys.readouterr()
        return int(end.value.code or 0), told.out, told.err

    return run


def test_an_artifact_and_a_summary(run, tmp_path):
    code, out, err = run("demo", "--bars", BARS, "--to", "2013-10-09")
    assert (code, err) == (0, "")
    manifest = read_manifest(tmp_path / "models" / "demo")
    assert "2013-10-08T23:53:00Z" in out
    assert "rsi, atr, momentum, z_score" in out
    assert manifest.sha256 in out
    assert manifest.training.symbols == ["AIG", "BAC", "IBM", "SPY"]


def test_json_for_programs(run, tmp_path):
    code, out, _ = run("demo", "--bars", BARS, "--holdout", "20%", "--json", "--out", "elsewhere")
    told = json.loads(out)
    assert code == 0
    assert told["sha256"] == read_manifest(tmp_path / "elsewhere").sha256
    assert told["holdout"]["first_time"] > told["in_sample"]["last_time"]
    assert told["holdout"]["r2"] < told["in_sample"]["r2"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope", "--bars", BARS], "there is no strategy 'nope'"),
        (["demo", "--bars", "nofile.csv"], "nofile.csv: there is no such file"),
        (["demo", "--bars", BARS, "--bars", "kafka"], "kafka stands alone"),
        (["demo", "--bars", BARS, "--holdout", "120%"], "write 20% or 0.2"),
        (["demo", "--bars", BARS, "--to", "tomorrow"], "'tomorrow' is no time"),
        (["demo", "--bars", BARS, "--to", "2001-01-01"], "there are no bars to train on"),
        (["demo"], "Missing option '--bars'"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(run, tmp_path, arguments, message):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert message in err.splitlines()[-1]
    assert not list(tmp_path.iterdir())
