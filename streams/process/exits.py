"""Why a worker ended itself: its exit codes, for supervisors and for the logs."""

import asyncio
import contextlib
from collections.abc import Iterator
from enum import IntEnum
from typing import Protocol

from aiokafka.errors import InvalidProducerEpoch, KafkaError, ProducerFenced

from schemas.errors import ConfigurationError


class Exit(IntEnum):
    """Exit code of ``alphawire worker``; 0 is a stop that was asked for, 2 wrong use or configuration."""

    DONE = 0
    FAILED = 1
    """An error that nobody foresaw; the log has it."""
    CONFIGURATION = 2
    BROKER = 10
    """The broker did not answer within `worker.delivery_timeout`, or its answer is unknown."""
    STALLED = 11
    """Assigned and behind, and no progress for `worker.stall_timeout`."""
    PLUGIN = 12
    """A plugin or model failed on a bar: of a worker, those of every strategy."""
    STOP_TIMEOUT = 13
    """The graceful stop took longer than `worker.stop_timeout`."""
    FENCED = 14
    """Another worker owns a partition that this one still wrote: it was cut off for longer than the session."""


class Die(Protocol):
    """Ends the process: the exit code, why, and where (partition and offset) if that is known."""

    def __call__(self, code: Exit, reason: str, /, **where: int) -> None: ...


def cause(error: BaseException) -> Exit:
    """Of a failed write: fenced, refused by a setting, or an answer of the broker whose outcome is unknown."""
    fault: BaseException | None = error
    while fault is not None:
        if isinstance(fault, (ProducerFenced, InvalidProducerEpoch)):
            return Exit.FENCED
        if isinstance(fault, ConfigurationError):
            return Exit.CONFIGURATION
        fault = fault.__cause__ or fault.__context__
    return Exit.BROKER


def of_crash(fault: object) -> Exit:
    """Of an app or a task that stopped by itself: the broker's doing (it died while the app started: seen), that of a
    setting, or unforeseen.
    """
    return cause(fault) if isinstance(fault, KafkaError | ConfigurationError) else Exit.FAILED


def in_words(fault: object) -> str:
    """What a setting or a right refuses, as one line for whoever mends it; any other fault as it is."""
    return str(fault) if isinstance(fault, ConfigurationError) else repr(fault)


@contextlib.contextmanager
def no_silent_end(die: Die, what: str, **where: int) -> Iterator[None]:
    """A `CancelledError` that nobody sent to this task, but that came out of something it awaited (a Kafka client
    which was stopped while it started: seen), ends the process.

    Else it would end the task without a word, while Faust's thread goes on heartbeating: a worker that holds its
    partitions and does nothing.
    """
    try:
        yield
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        die(Exit.FAILED, f"{what}: cancelled from inside", **where)
