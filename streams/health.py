"""Is a worker fit to work? For supervisors and load balancers: ``/health/live`` and ``/health/ready``."""

from typing import Any

from faust.types import TP

from streams.worker import Worker


def lags(app: Any, worker: Worker) -> dict[int, int | None]:
    """Bars of each owned partition that are on the log and not published yet; None while the log's end is not known."""
    found: dict[int, int | None] = {}
    for number in sorted(worker.partitions):
        end = log_end(app, worker, number)
        found[number] = None if end is None else max(end - worker.published(number), 0)
    return found


def log_end(app: Any, worker: Worker, number: int) -> int | None:
    """End of the partition's log as the last fetch told it; None when there was none since the partition came."""
    end: int | None = app.consumer.log_end(TP(worker.names.bars, number)) if app.consumer else None
    return end


def unready(app: Any, worker: Worker) -> dict[str, str]:
    """The conditions that fail, of `assigned`, `restored`, `strategies` and `lag`, each with the reason; empty when
    ready.

    A worker of a group with more workers than partitions owns none: it is ready as a spare.
    """
    if worker.generation < 0 and not (app.consumer and app.consumer.assignment()):
        return {"assigned": "the group has not given out its partitions yet"}
    if missing := _not_restored(app, worker):
        return {"restored": f"bars/{', '.join(map(str, missing))}: the state is being restored"}
    bound = worker.config.worker.ready_lag
    late = [
        f"bars/{number} is {'not fetched yet' if lag is None else f'{lag} bars behind'}"
        for number, lag in lags(app, worker).items()
        if lag is None or lag > bound
    ]
    lag = {"lag": f"{'; '.join(late)}; worker.ready_lag is {bound}"} if late else {}
    return _stopped(app, worker) | lag


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


def _not_restored(app: Any, worker: Worker) -> list[int]:
    """Partitions that were given to this worker and that it has not taken over, or whose states it still folds
    silently.
    """
    given = {tp.partition for tp in app.consumer.assignment() if tp.topic == worker.names.bars}
    taken = {number for number, part in worker.partitions.items() if part.position >= part.plan.marked}
    return sorted(given - taken)
