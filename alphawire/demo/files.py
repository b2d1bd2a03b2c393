"""What the demo reads, and what it writes."""

import logging
import os
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import pandas as pd
import yaml

from schemas.configuration import Config, load_config
from schemas.errors import ConfigurationError
from streams.ingest.bar_files import read_bars

STRATEGY = "demo"
SPLIT = datetime(2013, 10, 9, 4, tzinfo=UTC)
"""Midnight in New York. Bars that close before it are history, to train on; the rest comes live."""
SPLIT_MS = int(SPLIT.timestamp() * 1000)
HEADER = f"""\
# The strategy of examples/alphawire.yaml as `alphawire demo` ran it: broker, the model's folder and what its worker
# needs are changed, and it starts `now`, when the bars before {SPLIT:%-d %B %Y} were on the topic. The broker is gone.

"""
SESSION_TIMEOUT = 2.0
"""Seconds. The embedded broker forms a group after half of it, and misses a killed worker for all of it."""


def shipped(name: str) -> Path:
    """A file that comes with the package; `ConfigurationError` when it does not."""
    path = Path(str(files("alphawire.demo").joinpath(name)))
    if not path.is_file():
        raise ConfigurationError(
            f"the demo's {name} is not in this installation; run the demo from the repository, or install a whole wheel"
        )
    return path


def shipped_bars() -> tuple[pd.DataFrame, pd.DataFrame]:
    """The real bars in order of their close: history, and what comes live."""
    bars = read_bars(shipped("bars.parquet"), "1m")
    early = bars["close_time"] < SPLIT_MS
    return bars[early].reset_index(drop=True), bars[~early].reset_index(drop=True)


def write_config(folder: Path, bootstrap: str) -> Config:
    """The configuration of this run, in `folder`/alphawire.yaml."""
    data = yaml.safe_load(shipped("strategy.yaml").read_text(encoding="utf-8"))
    data["kafka"] = {"bootstrap": bootstrap, "session_timeout": SESSION_TIMEOUT}
    data["worker"] = {"http": False, "snapshot_interval": 2.0}
    data["strategies"][STRATEGY]["model"]["artifact"] = str(folder / "model")
    data["strategies"][STRATEGY]["start"] = "now"
    path = folder / "alphawire.yaml"
    path.write_text(HEADER + yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    return load_config(path)


def prepare_folder(folder: Path) -> None:
    """Makes it, without what an earlier run wrote at its end."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("summary.json", "plugins.json", "live.jsonl", "replay.jsonl", "worker.log", "demo.log"):
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be the demo's folder: {error.strerror or error}") from None


def forget_settings() -> None:
    """Takes ALPHAWIRE_* out of the environment: it overrides any file, and the demo must not reach another broker."""
    for name in [name for name in os.environ if name.startswith("ALPHAWIRE_")]:
        del os.environ[name]


def log_to(path: Path) -> None:
    """What the libraries of this process log and warn goes there, not between the lines on the screen."""
    logging.basicConfig(handlers=[logging.FileHandler(path, delay=True)], level=logging.WARNING)
    logging.captureWarnings(True)
