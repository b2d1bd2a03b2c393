"""From the content of a record, whatever its encoding was, to bars: the plan of a source, made once."""

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

from plugins.base.bars import COLUMNS
from schemas.configuration.sources import Source
from schemas.errors import BadRecord
from schemas.wire import LAST_TIME, Bar, canonical_interval, check_bar
from schemas.wire.fields import is_varying, known_interval, months_of
from streams.consuming.decoding.fields import MISSING, Getter, find, getter, number, shown, steps_of, truth
from streams.consuming.decoding.times import MINUTE, end_of, reader_of
from streams.ingest.normal.interval_names import known_name
from streams.ingest.normal.naming import found_symbol, symbol_text

KNOWN = 65_536
"""Symbols and intervals whose texts are remembered."""
FAULTS = 3
NOTHING = ((), ("none",))
"""Columns of what a source says not to be there."""


class Chosen:
    """Which records are read: those that have the values that `only` of a source says."""

    def __init__(self, source: Source) -> None:
        self._only = [(steps_of(name), _words(wanted)) for name, wanted in source.only.items()]

    def has(self, row: Any) -> bool:
        found = ((find(row, steps), wanted) for steps, wanted in self._only)
        return all(value is not MISSING and _word(value) in wanted for value, wanted in found)


class Plan:
    """How the fields of a record become bars."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._list = steps_of(source.records) if source.records else None
        self._only = Chosen(source)
        self._symbol = symbol_of(source)
        self._interval = _interval_of(source)
        self._times = _times_of(source)
        self._values = [_value_of(source, name) for name in COLUMNS]
        self._closed = getter(source.closed.column) if source.closed else None

    def bars(self, content: Any, counts: Counter[str]) -> list[Bar]:
        """Those of a record that are closed, and those that are not, which say so. `BadRecord` for a record of which
        none can be used, with all reasons; what is wrong with some of several is kept in `Several`.
        """
        rows = self._rows(content)
        if len(rows) == 1:
            return self._chosen(rows[0], counts)
        found, faults = list[Bar](), list[str]()
        for place, row in enumerate(rows, 1):
            try:
                found += self._chosen(row, counts)
            except BadRecord as bad:
                faults.append(f"bar {place} of {len(rows)}: {bad.reason}")
        if faults:
            more = f"; and {len(faults) - FAULTS} more" if len(faults) > FAULTS else ""
            raise Several(found, "; ".join(faults[:FAULTS]) + more)
        return found

    def names(self, content: Any) -> tuple[Any, Any]:
        """The texts of symbol and interval of a record of one bar; the interval's is empty where the source says it."""
        interval = self._source.columns.get("interval", ())
        symbol = self._source.symbol.column or self._source.columns.get("symbol", ("symbol",))[0]
        return find(content, steps_of(symbol)), "" if self._source.interval else find(content, steps_of(interval[0]))

    def _rows(self, content: Any) -> list[Any]:
        if self._list is not None:
            content = find(content, self._list)
            if not isinstance(content, list):
                raise BadRecord("invalid", f"{self._source.records} is no list of bars, but {_kind(content)}")
        if isinstance(content, list) and not (self._list is None and content and _is_value(content[0])):
            return content
        return [content]

    def _chosen(self, row: Any, counts: Counter[str]) -> list[Bar]:
        if not self._only.has(row):
            counts["not_chosen"] += 1
            return []
        return [self._bar(row)]

    def _bar(self, row: Any) -> Bar:
        symbol, interval = self._symbol(row), self._interval(row)
        opened, ended = self._times(row, interval)
        opens, high, low, closes, volume = (value(row) for value in self._values)
        closed = truth(self._closed(row), self._source.closed.column) if self._closed and self._source.closed else True
        bar = Bar(symbol, interval, opened, ended, opens, high, low, closes, volume, closed)
        _check_types(bar)
        check_bar(bar)
        return bar


class Several(BadRecord):
    """Some of the bars of a record cannot be used; `bars` can."""

    def __init__(self, bars: list[Bar], reason: str) -> None:
        super().__init__("invalid", reason)
        self.bars = bars


def _check_types(bar: Bar) -> None:
    """What msgspec looks at in alphawire's own records."""
    if not (0 <= bar.open_time <= LAST_TIME and bar.close_time <= LAST_TIME):
        raise BadRecord("invalid", f"its time {bar.open_time} is not between 1970 and 9999")
    if not bar.low > 0:
        raise BadRecord("invalid", f"low {bar.low} is not above 0")
    if not bar.volume >= 0:
        raise BadRecord("invalid", f"volume {bar.volume} is not 0 or above")


def _words(wanted: str | tuple[str, ...]) -> frozenset[str]:
    return frozenset([wanted] if isinstance(wanted, str) else wanted)


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _is_value(content: Any) -> bool:
    return not isinstance(content, dict | list)


def _kind(content: Any) -> str:
    return "missing" if content is MISSING else shown(content)


def _remembered(read: Callable[[Any], str]) -> Callable[[Any], str]:
    known: dict[str, str] = {}

    def look(value: Any) -> str:
        if not isinstance(value, str):  # 1, 1.0 and True would be one key
            return read(value)
        found = known.get(value)
        if found is None:
            found = read(value)
            if len(known) < KNOWN:
                known[value] = found
        return found

    return look


def _always(value: str) -> Getter:
    return lambda row: value


def symbol_of(source: Source) -> Getter:
    """What gives the symbol of a record."""
    use = source.symbol
    if use.value is not None:
        return _always(use.value)
    names = (use.column,) if use.column else source.columns.get("symbol", ("symbol",))
    first, more = getter(names[0]), [getter(name) for name in names[1:]]
    named = _remembered(lambda value: found_symbol(use, symbol_text(value)))
    if not more:
        return lambda row: named(first(row))
    return lambda row: ".".join([named(first(row)), *(symbol_text(get(row)) for get in more)])


def _interval_of(source: Source) -> Getter:
    if source.interval:
        return _always(source.interval)
    names = source.columns.get("interval") or (source.symbol.column or source.columns.get("symbol", ("symbol",))[0],)
    pattern = None if "interval" in source.columns else source.symbol.pattern
    get = getter(names[0])

    def read(value: Any) -> str:
        text = symbol_text(value)
        found = re.search(pattern, text) if pattern else None
        word = found["interval"] if found else text
        name = canonical_interval(source.interval_names.get(word) or known_name(word))
        if known_interval(name) is None and not is_varying(name):
            raise BadRecord(
                "invalid", f"{shown(word)} is no interval: declare interval_names: {{{word[:20]}: 1m}}, say"
            )
        return name

    named = _remembered(read)
    return lambda row: named(get(row))


def _times_of(source: Source) -> Callable[[Any, str], tuple[int, int]]:
    """Start and end. The one is held against the other where a record says both."""
    use, read = source.time, reader_of(source.time, source.texts)
    starts = _joined(source.columns.get("open_time") or use.columns)
    ends = _joined(source.columns.get("close_time", ()))
    if use.stamp == "end" and starts is not None:
        starts, ends = None, starts
    if starts is None and ends is None:
        starts = getter("open_time")

    def times(row: Any, interval: str) -> tuple[int, int]:
        length = known_interval(interval)
        opened = read(starts(row)) if starts else None
        ended = end_of(read(ends(row)), length or (MINUTE if months_of(interval) else None)) if ends else None
        if opened is None and ended is not None and length is not None:
            opened = ended - length
        if ended is None and opened is not None and length is not None:
            ended = opened + length
        if opened is None or ended is None:
            raise BadRecord("invalid", f"bars of {interval} need both columns, open_time and close_time")
        if length is not None and ended != opened + length:
            raise BadRecord("invalid", f"its end {ended} is not its start {opened} + {interval}")
        return opened, ended

    return times


def _joined(names: tuple[str, ...]) -> Getter | None:
    """Several fields are texts that are read as one."""
    parts = [getter(name) for name in names]
    if len(parts) < 2:
        return parts[0] if parts else None
    return lambda row: " ".join(str(part(row)) for part in parts)


def _value_of(source: Source, name: str) -> Getter:
    names = source.columns.get(name, (name,))  # type: ignore[call-overload]
    if names in NOTHING:
        return lambda row: 0.0
    scale = source.volume_scale if name == "volume" else source.price_scale
    read = number(source.texts, scale, source.scaled, source.undefined)
    parts = [(getter(each), each) for each in names]
    if len(parts) == 1:
        ((get, field),) = parts
        return lambda row: read(get(row), field) + 0.0
    return lambda row: sum((read(get(row), field) for get, field in parts), 0.0)
