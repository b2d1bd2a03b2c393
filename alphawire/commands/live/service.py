"""What the commands of both services share: their logs, and how an error ends them."""

import logging
from collections.abc import Callable

from schemas.configuration import Config
from schemas.errors import AlphawireError


def run_service(config: Config, run: Callable[[Config], None]) -> int:
    """Runs a service to its end; its exit code. Its errors are lines of its log where a program reads that."""
    from streams.process.logs import set_up

    set_up(config)
    try:
        run(config)
    except AlphawireError as error:
        if config.worker.log_format == "text":
            raise
        # what reads the log as JSON shall be able to read its last line too
        logging.getLogger("alphawire").critical("%s", " ".join(str(error).split()), extra={"exit_code": 2})
        return 2
    return 0
