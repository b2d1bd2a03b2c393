"""Why a worker ended itself: its exit codes, for supervisors and for the logs."""

from enum import IntEnum


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
    """A plugin or model failed on a bar."""
    STOP_TIMEOUT = 13
    """The graceful stop took longer than `worker.stop_timeout`."""
