"""The folder of a sweep.

DIR/points.jsonl   what the sweep is, then a line for each finished point: a run that died goes on after them
DIR/sweep.csv      parameters and metrics, a row for each point, in the grid's order
DIR/sweep.json     the same, the best point, and how far it is to be believed
DIR/report.html    table and heat map
"""

import base64
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from backtest.sweep.points import Point, Sweep
from backtest.sweep.report import sweep_page
from schemas.atomic import atomic_write
from schemas.errors import AlphawireError, ConfigurationError

POINTS, TABLE, SUMMARY, PAGE = "points.jsonl", "sweep.csv", "sweep.json", "report.html"


class SweepFolder:
    """`ConfigurationError` for a folder of something else; `identity` is what must be the same for finished points to
    count.
    """

    def __init__(self, out: Path, identity: str) -> None:
        self.out = out
        self.identity = identity
        if out.is_dir() and any(out.iterdir()) and not (out / POINTS).exists():
            raise ConfigurationError(f"{out} holds files that no sweep wrote; give a new or empty folder")
        if not out.absolute().parent.is_dir() or out.is_file():
            raise ConfigurationError(f"{out} cannot become a folder; make the one above it first")
        out.mkdir(exist_ok=True)

    def finished(self) -> dict[int, Point]:
        """The points that an earlier run finished, by number; a line torn by a crash is cut off."""
        path = self.out / POINTS
        if not path.exists():
            self._append(json.dumps({"sweep": self.identity}) + "\n")
            return {}
        lines = path.read_bytes().splitlines(keepends=True)
        if not lines or _identity_in(lines[0]) != self.identity:
            raise ConfigurationError(
                f"{self.out} holds another sweep (other grid, strategy, engine, bars or news); give a new folder"
            )
        whole = [line for line in lines if line.endswith(b"\n")]
        if len(whole) < len(lines):
            os.truncate(path, sum(map(len, whole)))
        return {point.number: point for point in map(_from_line, whole[1:])}

    def append(self, points: Sequence[Point]) -> None:
        """A line for each point."""
        self._append("".join(map(_line, points)))

    def _append(self, text: str) -> None:
        path = self.out / POINTS
        try:
            with path.open("a") as file:
                file.write(text)
        except OSError as error:
            raise AlphawireError(
                f"cannot write {path}: {error.strerror}; run again, and it goes on from there"
            ) from None

    def write(self, name: str, engine: str, grid: Mapping[str, Sequence[Any]], result: Sweep) -> None:
        """Table, summary and page."""
        texts = {
            TABLE: result.table.to_csv(index=False),
            SUMMARY: json.dumps(_summary(name, engine, grid, result), indent=2) + "\n",
            PAGE: sweep_page(name, engine, grid, result),
        }
        for file, text in texts.items():
            try:
                with atomic_write(self.out / file) as aside:
                    aside.write_text(text, encoding="utf-8")
            except OSError as error:
                raise AlphawireError(
                    f"cannot write {self.out}: {error.strerror or error}; the points are kept"
                ) from None


def _summary(name: str, engine: str, grid: Mapping[str, Sequence[Any]], result: Sweep) -> dict[str, Any]:
    best = result.best
    return {
        "strategy": name,
        "engine": engine,
        "grid": grid,
        "points": json.loads(result.table.to_json(orient="records")),
        "best": {"point": best.number, "symbol": best.symbol, "parameters": best.parameters, "metrics": best.metrics},
        "overfitting": asdict(result.verdict),
        "walk_forward": [asdict(window) for window in result.windows],
    }


def _identity_in(line: bytes) -> str | None:
    try:
        identity: str | None = json.loads(line).get("sweep")
    except (ValueError, AttributeError):
        return None
    return identity


def _line(point: Point) -> str:
    returns = base64.b64encode(point.returns.astype("<f8").tobytes()).decode()
    return json.dumps(asdict(point) | {"returns": returns}) + "\n"


def _from_line(line: bytes) -> Point:
    plain = json.loads(line)
    plain["returns"] = np.frombuffer(base64.b64decode(plain["returns"]), "<f8")
    plain["times"] = tuple(plain["times"])
    return Point(**plain)
