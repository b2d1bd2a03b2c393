"""What a strategy that failed leaves to those who read the log of a worker, and to the next owner."""

import logging

from plugins.pipeline.outcome import Failure
from schemas.errors import AlphawireError


def log_failure(log: logging.Logger, place: str, partition: int, failure: Failure) -> None:
    """One line; with the traceback of what is not an error of ours."""
    foreign = failure.error.__cause__ if isinstance(failure.error, AlphawireError) else failure.error
    log.error(
        "%s: %s stopped at offset %d, %s; the others go on, and nothing of it is published here from there on;"
        " mend it and restart the worker: it then publishes what it owes",
        place, failure.strategy, failure.offset, failure.reason, exc_info=foreign,
        extra={"partition": partition, "offset": failure.offset},
    )  # fmt: skip


def stopped_at(failure: Failure | None, reached: int) -> int:
    """The offset up to which the strategy has published, when the partition's marker is at `reached`."""
    return reached if failure is None else min(reached, failure.offset)
