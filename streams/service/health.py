"""How the owned partitions stand, and whether a worker is fit to work. For supervisors and load balancers:
``/health/live`` and ``/health/ready``.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from faust.types import TP

from streams.owners.worker import Worker


@dataclass(frozen=True)
class Standing:
    """Of an owned partition, of bars or of predictions: read up to `position`, on the log is what everything before
    `published` came to; its log ends at `end`, as the last fetch told it (None: none since the partition came).

    `restored`: its state is what the log says, and it goes on from there.
    """

    place: str
    number: int
    position: int
    published: int
    end: int | None
    restored: bool

    @property
    def lag(self) -> int | None:
        """Records that are on the log and not dealt with; None while the log's end is not known."""
        return None if self.end is None else max(self.end - self.published, 0)

    @property
    def behind(self) -> bool:
        """Is something fed and not published, or on the log and not fed?"""
        return self.position > self.published or (self.end is not None and self.end > self.position)


def standings(app: Any, worker: Worker) -> dict[str, list[Standing]]:
    """Those of all partitions that the process owns, by number: of `bars`, and of `predictions` where cross-sections
    are gathered.
    """

    def end(topic: str, number: int) -> int | None:
        found: int | None = app.consumer.log_end(TP(topic, number)) if app.consumer else None
        return found

    bars, predictions = worker.names.bars, worker.names.predictions
    found = {
        "bars": [
            Standing(
                part.place, number, max(one.position for one in worker.parts(number)), worker.published(number),
                end(bars, number), part.position >= part.plan.marked,
            )
            for number, part in sorted(worker.partitions.items())
        ]
    }  # fmt: skip
    if app.gatherer:
        found["predictions"] = [
            Standing(part.place, number, part.position, part.published, end(predictions, number), part.restored)
            for number, part in sorted(app.gatherer.partitions.items())
        ]
    return found


def unready(app: Any, worker: Worker) -> dict[str, str]:
    """The conditions that fail, of `assigned`, `restored`, `strategies` and `lag`, each with the reason; empty when
    ready.

    A worker of a group with more workers than partitions owns none: it is ready as a spare, once others own them.
    """
    if worker.generation < 0 and not app.assignor.assigned_actives():
        return {"assigned": "the group has not given out its partitions yet"}
    if nobodys := _given_to_nobody(app, worker):
        return {"assigned": f"the group gave {'; '.join(nobodys)} to no worker, its leader did not know of them yet"}
    owned = standings(app, worker)
    if missing := [part for name, some in owned.items() for part in _not_restored(app, worker, name, some)]:
        return {"restored": f"{'; '.join(missing)}: the state is being restored"}
    bound = worker.config.worker.ready_lag
    late = [
        f"{one.place} is {'not fetched yet' if one.lag is None else f'{one.lag} {name} behind'}"
        for name, some in owned.items()
        for one in some
        if one.lag is None or one.lag > bound
    ]
    lag = {"lag": f"{'; '.join(late)}; worker.ready_lag is {bound}"} if late else {}
    return _stopped(app, worker) | lag


def _given_to_nobody(app: Any, worker: Worker) -> list[str]:
    """The partitions of each topic, in one text, that no member of the group was given: Faust's leader leaves out what
    its client does not know of at that moment.
    """
    nobodys = []
    for topic in (worker.names.bars, *([worker.names.predictions] if app.gatherer else [])):
        given = app.assignor.external_topic_distribution.values()
        left = set(range(worker.partition_count)).difference(*(topics.get(topic, ()) for topics in given))
        nobodys += [f"{topic}/{', '.join(map(str, sorted(left)))}"] if left else []
    return nobodys


def _stopped(app: Any, worker: Worker) -> dict[str, str]:
    """Strategies that failed, on the bars and where cross-sections are gathered."""
    told = [
        f"{f.strategy} stopped on bars/{number}, at offset {f.offset}, {f.reason}" for number, f in worker.failures()
    ]
    if app.gatherer is not None:
        told += [
            f"{f.strategy} stopped on predictions/{number}, at offset {f.offset}, {f.reason}"
            for number, f in app.gatherer.failures()
        ]
    return {"strategies": "; ".join(told)} if told else {}


def _not_restored(app: Any, worker: Worker, name: str, owned: Iterable[Standing]) -> list[str]:
    """The partitions of a topic, in one text, that the group gave to this process and that it has not taken over, or
    whose states it still folds silently. The client's own assignment is empty while the group rebalances.
    """
    topic = getattr(worker.names, name)
    given = {tp.partition for tp in app.assignor.assigned_actives() if tp.topic == topic}
    missing = given - {one.number for one in owned if one.restored}
    return [f"{name}/{', '.join(map(str, sorted(missing)))}"] if missing else []
