"""``alphawire train`` as a user meets it, on the real bars that the project ships."""

import json
import sys
from pathlib import Path

import pytest

from alphawire.cli import main
from plugins.models.artifacts.loading import read_manifest

EXAMPLES = Path(__file__).parents[2] / "examples"
BARS = EXAMPLES / "data" / "equities_minute.parquet"
GAPS = (
    "301 bars are missing in 2 gaps of 2 symbols: IBM 2013-10-04 20:51 to 2013-10-04 23:48 (176 bars);"
    " BAC 2013-10-07 08:01 to 2013-10-07 10:07 (125 bars)\n"
)
"""IBM's bars after the first are 177 minutes apart, BAC's 126; nights and the weekend are rests of the market."""


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
    assert (code, err) == (0, GAPS)
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


def test_a_model_that_is_not_better_is_said_to_be_not_better(run, tmp_path):
    code, out, _ = run("demo", "--bars", BARS, "--holdout", "0.2")
    assert code == 0
    tested = read_manifest(tmp_path / "models" / "demo").out_of_sample
    assert not tested.better_than_baselines
    assert "NOT better than the baselines" in out
    assert f"IC         {tested.model.ic.value:.4f} [{tested.model.ic.low:.4f}, {tested.model.ic.high:.4f}]" in out


def test_cross_validation_writes_a_picture_and_no_artifact(run, tmp_path):
    code, out, err = run("demo", "--bars", BARS, "--to", "2013-10-08", "--cv", "cpcv", "--folds", "3", "--out", "pics")
    assert (code, err) == (0, GAPS)
    assert [line.split()[0] for line in out.splitlines()[1:4]] == ["1+2", "1+3", "2+3"]
    assert out.count("path ") == 2
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["demo-cpcv.html"]
    code, out, _ = run("demo", "--bars", BARS, "--to", "2013-10-08", "--cv", "walk-forward", "--folds", "2", "--json")
    told = json.loads(out)
    assert (code, len(told["folds"]), told["picture"]) == (0, 2, "demo-walk-forward.html")
    assert told["pooled"]["rows"] == sum(fold["test"]["rows"] for fold in told["folds"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope", "--bars", BARS], "there is no strategy 'nope'"),
        (["demo", "--bars", "nofile.csv"], "nofile.csv: there is no such file"),
        (["demo", "--bars", BARS, "--bars", "kafka"], "kafka stands alone"),
        (["demo", "--bars", BARS, "--holdout", "120%"], "write 20% or 0.2"),
        (["demo", "--bars", BARS, "--cv", "rolling", "--holdout", "20%"], "leave out --holdout"),
        (["demo", "--bars", BARS, "--cv", "cpcv", "--folds", "2"], "2 test groups of 2: test at least 1"),
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
