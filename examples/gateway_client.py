"""Signals over HTTP, without a Kafka client and without anything of alphawire: the standard library alone.

    python examples/gateway_client.py http://localhost:6069 demo [TOKEN]

prints the signals of strategy `demo` as they come. The rules, in `SignalStream`:

1. Go on where you were: each event has an id, which is sent back as `Last-Event-ID`. Keep `position` with what you did.
2. Drop an `id` of a signal that was handled before: after a crash a worker may publish one again, with the same bytes.
3. Refuse what is past `valid_until` by your clock.
4. `deleted` names records that were gone before you read them: you have missed signals.
"""

import http.client
import json
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypedDict
from urllib.parse import urlencode

REMEMBERED = 100_000
"""Ids kept to know a repeat by."""


class _Content(TypedDict):
    id: str
    strategy: str
    symbol: str
    time: int  # close of the bar, ms since the epoch (UTC)
    signal: str | float  # BUY, SELL, HOLD, FLAT or a number
    weight: float | None  # target weight of equity; None: keep what you have
    reason: str
    prediction: float | None
    model: str | None
    config_hash: str
    gap: int | None
    valid_until: int


class Content(_Content, total=False):
    """What a signal says; see docs/messages.md."""

    silent_until: int


class Signal(TypedDict):
    """One record of the topic `signals`."""

    content: Content
    provenance: dict[str, Any]


@dataclass
class SignalStream:
    """The signals of a gateway, one after the other, for as long as it is iterated."""

    url: str
    strategy: str | None = None
    symbol: str | None = None
    token: str | None = None
    position: str | None = None  # of the last event; None: from now on
    clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    pause: float = 1.0  # seconds until a gateway that is away is asked again
    counts: Counter[str] = field(default_factory=Counter)
    _seen: dict[str, None] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Signal]:
        while True:
            try:
                for name, data in self._events():
                    if name == "deleted":
                        self.counts["deleted"] += data["end"] - data["begin"]
                    elif (outcome := self.judge(data)) == "new":
                        yield data
                    else:
                        self.counts[outcome] += 1
            except urllib.error.HTTPError as error:
                if error.code != 503:
                    raise
            except (OSError, http.client.HTTPException):
                pass
            time.sleep(self.pause)

    def judge(self, signal: Signal) -> str:
        """``new``, ``repeated`` or ``too late``."""
        content = signal["content"]
        if content["id"] in self._seen:
            return "repeated"
        self._seen[content["id"]] = None
        while len(self._seen) > REMEMBERED:
            del self._seen[next(iter(self._seen))]
        return "too late" if content["valid_until"] < self.clock() else "new"

    def _events(self) -> Iterator[tuple[str, Any]]:
        chosen = {"strategy": self.strategy, "symbol": self.symbol}
        query = urlencode({name: value for name, value in chosen.items() if value})
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        headers |= {"Last-Event-ID": self.position} if self.position else {}
        request = urllib.request.Request(f"{self.url}/signals/stream?{query}", headers=headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            event: dict[str, str] = {}
            for line in answer:
                if text := line.decode().rstrip("\n"):
                    name, _, value = text.partition(": ")
                    event[name] = value
                    continue
                if "data" in event:
                    yield event["event"], json.loads(event["data"])
                self.position = event.get("id", self.position)
                event = {}


if __name__ == "__main__":
    url, strategy, *token = sys.argv[1:]
    for signal in SignalStream(url, strategy, token=token[0] if token else None):
        print(json.dumps(signal["content"]), flush=True)
