"""The faults: each a function that does it to a run, and says when it is over.

A fault that has an end undoes itself after a while through `run.later`; until then its victim is left alone.
"""

import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

from streams.process.failpoints import (
    NAMES,
    OF_CLOCK,
    OF_CROSS_SECTIONS,
    OF_NEWS,
    OF_REFERENCES,
    OF_REGISTRY,
    OF_SWAPS,
)
from tests.faults.proxy import Proxy

if TYPE_CHECKING:
    from tests.faults.controller import Run

Fault = Callable[["Run"], bool]
"""False: it could not be done now."""

POINTS = [
    name
    for name in NAMES
    if name not in ("after_marker", "in_catch_up", *OF_SWAPS, *OF_CROSS_SECTIONS, *OF_NEWS, *OF_REFERENCES, *OF_CLOCK)
    and name not in OF_REGISTRY
]
"""Those that a worker comes to whose strategies do not change."""
"""With transactions each signal's write carries its marker, so `after_marker` is come to only by a round."""


def sigkill(run: "Run") -> bool:
    worker = run.victim()
    if worker is None:
        return False
    worker.send(signal.SIGKILL)
    return True


def sigterm(run: "Run") -> bool:
    """No fault but a rolling restart: the partitions move in good order."""
    worker = run.victim()
    if worker is None:
        return False
    worker.send(signal.SIGTERM)
    return True


def sigstop(run: "Run") -> bool:
    """Beyond the session timeout: the worker comes back as a zombie that believes to be the owner."""
    worker = run.victim()
    if worker is None:
        return False
    worker.send(signal.SIGSTOP)
    run.busy(worker, run.beyond_session(), lambda: worker.send(signal.SIGCONT))
    return True


def network_held(run: "Run") -> bool:
    """Nothing gets through, nobody is told; afterwards all that waited arrives late."""
    return on_the_line(run, Proxy.hold, run.beyond_session())


def answers_held(run: "Run") -> bool:
    """Requests get through, answers do not: what was asked for is done, and the worker cannot know."""
    return on_the_line(run, Proxy.hold_answers, run.beyond_session())


def answers_late(run: "Run") -> bool:
    """As `answers_held`, but soon enough that nobody is given up."""
    return on_the_line(run, Proxy.hold_answers, 0.6 * run.config.kafka.session_timeout)


def commit_answered_late(run: "Run") -> bool:
    """As `answers_late`, from the end of a transaction on: it is committed, and the worker cannot know."""
    return on_the_line(run, Proxy.hold_answer_of_commit, 0.6 * run.config.kafka.session_timeout)


def network_cut(run: "Run") -> bool:
    """All connections break off, new ones are refused."""
    return on_the_line(run, Proxy.cut, run.beyond_session())


def on_the_line(run: "Run", disturb: Callable[[Proxy], None], seconds: float) -> bool:
    """`disturb` the line between a worker and the broker for so long."""
    worker = run.victim()
    if worker is None:
        return False
    proxy = run.cluster.proxies[worker.number]
    disturb(proxy)
    run.busy(worker, seconds, proxy.release)
    return True


def clock_jump(run: "Run") -> bool:
    """The wall clock of a worker is set by days."""
    worker = run.victim()
    if worker is None:
        return False
    worker.send(signal.SIGUSR2)
    return True


def broker_killed(run: "Run") -> bool:
    if run.broker_busy:
        return False
    run.cluster.broker.kill()
    run.broker_down(run.rng.uniform(0.0, 2.0), run.cluster.broker.start)
    return True


def broker_paused(run: "Run") -> bool:
    """Shorter than the workers' deadline: they live through it."""
    if run.broker_busy:
        return False
    run.cluster.broker.pause()
    run.broker_down(run.rng.uniform(1.0, 5.0), run.cluster.broker.go_on)
    return True


def signals_refused(run: "Run") -> bool:
    """The broker takes no record of the topic of signals for a while."""
    if run.broker_busy:
        return False
    run.refuse_signals(True)
    run.broker_down(run.rng.uniform(1.0, 3.0), lambda: run.refuse_signals(False))
    return True


def disk_full(run: "Run") -> bool:
    """Apache Kafka gives up its only disk and ends; with room made, it is started again."""
    if run.broker_busy or not run.cluster.disk.own:
        return False
    run.cluster.disk.fill()

    def mend() -> None:
        run.note(f"disk_full: the broker {'went on' if run.cluster.broker.pid else 'had ended'}")
        run.cluster.disk.free()
        run.cluster.broker.kill()
        run.cluster.broker.start()

    run.broker_down(run.rng.uniform(2.0, 4.0), mend)
    return True


def repeated_input(run: "Run") -> bool:
    run.producer.repeat(run.rng.randint(1, 300))
    return True


def reordered_input(run: "Run") -> bool:
    run.producer.shuffle(run.rng.randint(1, 60))
    return True


SELDOM = ("after_fencing", "in_load", "in_silent_fold", "in_revoke", "before_roster", "after_round")
"""A life may come there only once."""

DECK: dict[Fault, int] = {
    sigkill: 6, sigstop: 5, network_held: 3, network_cut: 3, answers_held: 3, answers_late: 1,
    commit_answered_late: 2, clock_jump: 2, broker_killed: 1, broker_paused: 2, disk_full: 1, signals_refused: 1,
    repeated_input: 2, reordered_input: 2, sigterm: 2,
}  # fmt: skip
"""How often each comes in a deck; a deck is shuffled, and the next one begins when it is used up."""


def arms(run: "Run") -> str:
    """One failpoint for a life, from a deck of all points with each of what can happen there."""
    point, action = run.next_point()
    count = 1 if point in SELDOM else run.rng.randint(*run.settings.passes)
    seconds = f"={run.beyond_session():.1f}" if action == "delay" else ""
    return f"{point}={count}:{action}{seconds}"
