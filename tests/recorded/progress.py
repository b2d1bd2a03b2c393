"""How far a run is, by what is on its topics."""

import time
from typing import Any

from tests.recorded.strategies import NEWS, PREFIX
from tests.recorded.topics import Recording

CALM = 3.0
"""Seconds without a record; rounds of snapshots come more often."""


class Progress:
    """Reads on in the recording at each look."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._read = 0
        self._heard = time.monotonic()
        self._markers: dict[tuple[int, str], dict[str, Any]] = {}
        self._signals: set[bytes] = set()
        self._predicted: set[tuple[str, int]] = set()
        self._closed: set[tuple[str, int]] = set()
        self._applied: dict[tuple[str, int], dict[str, Any]] = {}
        self._unknown: dict[int, int] = {}

    @property
    def silence(self) -> float:
        """Seconds since the last record."""
        self._look()
        return time.monotonic() - self._heard

    def begin(self) -> None:
        """Silence counts from now on."""
        self._heard = time.monotonic()

    @property
    def signals(self) -> int:
        """Distinct ones."""
        self._look()
        return len(self._signals)

    def applied(self, strategy: str, paused: bool) -> int:
        """On how many partitions that is in force."""
        self._look()
        return sum(name == strategy and entry["paused"] is paused for (name, _), entry in self._applied.items())

    def back(self, strategy: str) -> int:
        """On how many partitions it has its configured model."""
        self._look()
        return sum(name == strategy and entry["artifact"] is None for (name, _), entry in self._applied.items())

    def unknown(self, ends: dict[int, int]) -> bool:
        """Are all bars decided, without news?"""
        self._look()
        return all(self._unknown.get(number, 0) >= end for number, end in ends.items())

    def rests(self, ends: dict[int, int]) -> bool:
        """Is all of these bars published, and in a round of snapshots, and does nothing more come?"""
        return self.silence > CALM and not self.unrest(ends)

    def unrest(self, ends: dict[int, int]) -> list[str]:
        """What is not done yet."""
        found = []
        for number, end in ends.items():
            for track in ("", "news"):
                marker = self._markers.get((number, track), {})
                mine = {name for name in marker.get("published", {}) if (name in NEWS) == bool(track)}
                behind = {name: at for name in mine if (at := marker["published"][name]) < end}
                if marker.get("offset") != end or marker.get("floor") != end or behind:
                    found.append(
                        f"bars/{number} {track} to {end}: {marker.get('offset')}, {marker.get('floor')}, {behind}"
                    )
        waiting = self._predicted - self._closed
        return [*found, *([f"not closed: {sorted(waiting)[:5]}"] if waiting else [])]

    def _look(self) -> None:
        records = self._recording.records
        if len(records) > self._read:
            self._heard = time.monotonic()
        for record in records[self._read :]:
            self._take(record.topic, record.partition, record.value or b"", record)
        self._read = len(records)

    def _take(self, topic: str, partition: int, value: bytes, record: Any) -> None:
        if topic == "signals":
            self._signals.add(record.decoded()["content"]["id"])
        elif topic == "predictions":
            found = record.decoded()
            if found["kind"] != "late":
                into = self._closed if found["kind"] == "closing" else self._predicted
                into.add((found["strategy"], found["time"]))
        elif topic == "control" and b'"kind":"applied"' in value:
            found = record.decoded()
            self._applied[found["strategy"], partition] = found
        elif topic == "state" and b'"kind":"marker"' in value:
            found = record.decoded()
            if found["topic"] == f"{PREFIX}bars":
                self._markers[partition, found["track"]] = found
        elif topic == "news.scores" and record.key == b":unknown":
            self._unknown[partition] = max(self._unknown.get(partition, 0), record.decoded()["until"])
