"""What would be read of files, before anything is sent: bars, columns, gaps, and a source that says so."""

from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from backtest.sources.files import Files
from backtest.sources.market_time import describe_market_gaps, gaps_of
from schemas.configuration.presets import preset
from schemas.configuration.sources import Source
from schemas.errors import ConfigurationError
from schemas.wire import name_of_length, spacing_ms
from streams.ingest.bar_files import pieces_for
from streams.ingest.ordered.bar_stream import Progress, open_bars
from streams.ingest.ordered.survey import Survey
from streams.ingest.reading.layouts import Look, describe, guesses
from streams.ingest.reading.tables import look_at

INTERVALS = ("1s", "1m", "5m", "15m", "30m", "1h", "4h", "1d", "7d", "1M", "3M", "12M")
"""Tried, the shortest first, where nobody says how long the bars are."""
SHOWN = 8


@dataclass
class Inspection:
    """What was seen. `refusal`: why the files are not read as they stand; `survey` is then that of the guess."""

    files: int
    source: Source
    interval: str | None = None
    guess: str | None = None
    speaks: str = ""
    """For the guess."""
    refusal: str | None = None
    guess_refusal: str | None = None
    survey: Survey = field(default_factory=Survey)
    progress: Progress | None = None

    @property
    def note(self) -> str:
        """What surprises in files of the preset that is declared or guessed."""
        name = self.source.preset or self.guess
        return preset(name).note if name else ""


def inspect(files: Files, interval: str | None = None, progress: Progress | None = None) -> Inspection:
    """Read as declared; where that is refused, by a preset that the first file looks like.

    Raises
    ------
    ConfigurationError
        For a file that cannot be opened at all.
    """
    pieces = pieces_for(files.paths, files.source)
    look = next(look_at(pieces[0]))
    seen = Inspection(len(pieces), files.source, interval or files.source.interval, progress=progress)
    declared = files.source.model_fields_set - {"path", "interval", "market"}
    candidates = [] if declared else guesses(look)
    seen.refusal = _read(seen, files, seen.interval)
    _guess(seen, files, look, candidates)
    return seen


def _guess(seen: Inspection, files: Files, look: Look, candidates: list[str]) -> None:
    """The first preset by which the files are read; else the first that they look like, and what it lacks."""
    for name in candidates:
        source = files.source.model_copy(update={"preset": name})
        attempt = Inspection(seen.files, source, seen.interval, progress=seen.progress)
        refusal = _read(attempt, files, seen.interval, source)
        if seen.guess is None or refusal is None:
            seen.guess, seen.speaks, seen.guess_refusal = name, describe(preset(name), look), refusal
        if refusal is None:
            if seen.refusal is not None:
                seen.survey, seen.source, seen.interval = attempt.survey, attempt.source, attempt.interval
            return


def _read(seen: Inspection, files: Files, interval: str | None, source: Source | None = None) -> str | None:
    """Why not; None where it was read, into `seen`."""
    refusal, sparse = "", None
    for each in (interval,) if interval else (None, *INTERVALS):
        try:
            with open_bars(files.paths, each, source or files.source, seen.progress) as bars:
                survey = bars.survey
        except ConfigurationError as error:
            refusal = refusal if refusal and _of_length(str(error)) and not _of_length(refusal) else str(error)
            if _of_length(str(error)) or sparse is not None:
                continue
            return str(error)
        longer = _usual(survey) if each and not interval else None
        if longer is not None and longer > spacing_ms(each or "1s") and each != INTERVALS[-1]:
            sparse = survey, each
            continue  # days are far enough apart to be hours
        if survey.bars or interval or each == INTERVALS[-1]:
            seen.survey, seen.interval = survey, each or next(iter(survey.intervals), None)
            return None
    if sparse is None:
        return refusal
    seen.survey, seen.interval = sparse  # the longest that they are far enough apart for
    return None


def _usual(survey: Survey) -> float | None:
    """How far the bars of a symbol usually lie apart, in ms."""
    if not survey.bars:
        return None
    bars = survey.sample.sort_values(["symbol", "open_time"], kind="stable")
    apart = bars.groupby("symbol", sort=False)["open_time"].diff()
    usual = float(apart[apart > 0].median())
    return usual if np.isfinite(usual) else None


def _of_length(refusal: str) -> bool:
    return any(text in refusal for text in ("does not say how long its bars are", "so they are no"))


def lines(survey: Survey, source: Source) -> list[str]:
    """Three: which bars, which columns they come from, and how they follow each other."""
    return [_which(survey, source), _columns(survey), _spacing(survey, source)]


def _which(survey: Survey, source: Source) -> str:
    if not survey.bars:
        return f"no bars: {survey.left_out}"
    symbols = sorted(survey.symbols)
    more = f" and {len(symbols) - SHOWN:,} more" if len(symbols) > SHOWN else ""
    first, last, zone = survey.first_start, survey.last_close, source.time.zone
    local = f" ({_time(first, zone)} to {_time(last, zone)} in {zone})" if zone and zone != "UTC" else ""
    return (
        f"{survey.bars:,} bars of {', '.join(sorted(survey.intervals))}, of {', '.join(symbols[:SHOWN])}{more}:"
        f" first start {_time(first)}Z, last close {_time(last)}Z{local}"
    )


def _time(time: int, zone: str = "UTC") -> str:
    return pd.Timestamp(time, unit="ms", tz="UTC").tz_convert(ZoneInfo(zone)).strftime("%Y-%m-%dT%H:%M:%S")


def _columns(survey: Survey) -> str:
    used = ", ".join(f"{name} from {column}" for name, column in survey.columns.get("used", {}).items())
    ignored = ", ".join(survey.columns.get("ignored", [])) or "none"
    return f"columns: {used or 'none'}; ignored: {ignored}"


def _spacing(survey: Survey, source: Source) -> str:
    left = survey.left_out
    out = f"{left.rows:,} rows left out: {left} ({'; '.join(left.examples[:2])})" if left.rows else "no row left out"
    if not survey.bars:
        return out
    bars, usual = survey.sample, _usual(survey)
    each = name_of_length(int(usual // 1000) * 1000) if usual is not None else "alone"
    length = spacing_ms(str(bars["interval"].iloc[0]))
    gaps = describe_market_gaps(gaps_of(bars, length, source.market or "auto")) or "no gap"
    some = "" if survey.complete else f" (of {len(bars):,} bars of {bars['symbol'].nunique()} symbols)"
    return f"typically {each} apart; {gaps}{some}; {out}"


def block(seen: Inspection, files: Files, name: str) -> dict[str, Any]:
    """The ``sources:`` section to paste."""
    guessed = seen.refusal is not None and seen.guess is not None
    use: dict[str, Any] = {"preset": seen.guess} if guessed else {}
    use |= files.source.model_dump(mode="json", exclude_unset=True, exclude={"path"})
    use["path"] = list(files.paths) if len(files.paths) > 1 else files.paths[0]
    if seen.interval and len(seen.survey.intervals) <= 1:
        use["interval"] = seen.interval
    return {"sources": {name: use}}
