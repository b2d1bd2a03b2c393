"""``alphawire inspect``, and ``produce`` that sends nothing."""

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from alphawire.cli import cli
from schemas.errors import ConfigurationError

FORMATS = Path(__file__).parents[1] / "data" / "formats"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments))


def test_a_file_that_is_read_as_it_stands() -> None:
    done = run("inspect", str(FORMATS / "polars" / "aware.csv"))
    assert done.exit_code == 0, done.output
    assert (
        "100 bars of 1m, of AAA, BBB: first start 2024-03-08T14:30:00Z, last close 2024-03-11T13:55:00Z" in done.output
    )
    assert "time from timestamp" in done.output


@pytest.mark.parametrize(
    ("path", "guess"), [("binance/spot_us", "binance"), ("yfinance/two.csv", "yfinance"), ("qlib/bin", "qlib")]
)
def test_what_is_pasted_reads_the_bars(path: str, guess: str, tmp_path: Path) -> None:
    """What `inspect` prints goes into the configuration, and the same bars are read by its name."""
    done = run("inspect", str(FORMATS / path), "--json")
    assert done.exit_code == 1
    said = json.loads(done.stdout)
    assert (said["guess"], said["guess_refusal"]) == (guess, None)
    (tmp_path / "c.yaml").write_text(yaml.safe_dump({"sources": said["sources"]}))
    (name,) = said["sources"]
    again = run("inspect", "--source", name, "--json", "-c", str(tmp_path / "c.yaml"))
    assert again.exit_code == 0, again.output
    read = json.loads(again.stdout)
    assert read["refusal"] is None
    assert [read[key] for key in ("bars", "symbols", "first_start", "last_close")] == [
        said[key] for key in ("bars", "symbols", "first_start", "last_close")
    ]


def test_what_a_preset_lacks_is_said() -> None:
    done = run("inspect", str(FORMATS / "metatrader5" / "py"))
    assert done.exit_code == 1
    assert "looks like preset metatrader5" in done.output
    assert "needs time.zone: the clock of the broker's server" in done.output


def test_a_dry_run_needs_no_broker_and_sends_nothing() -> None:
    done = run("produce", "bars", str(FORMATS / "polars" / "aware.csv"), "--interval", "1m", "--dry-run")
    assert done.exit_code == 0, done.output
    assert [line.split()[0] for line in done.stderr.splitlines()][:3] == ["100", "columns:", "typically"]


def test_files_or_a_source_and_not_both() -> None:
    for arguments in ([], ["a.csv", "--source", "desk"]):
        done = run("inspect", *arguments)
        assert "name files, or --source NAME" in str(done.exception)


@pytest.mark.parametrize("data", [b"", b"symbol,time\n", b"PAR1" + b"\xff" * 60 + b"PAR1"])
def test_a_file_that_is_none_of_its_kind_is_said_in_a_line(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bars.parquet"
    path.write_bytes(data)
    done = run("inspect", str(path))
    assert isinstance(done.exception, ConfigurationError)
    assert str(done.exception).startswith(f"{path}: cannot be read: ")
