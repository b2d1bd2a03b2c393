"""Imported once by the server of `tests.support.forked`, never by a test: all that a worker imports, so that each fork
has it. Run as a program (`make compiled`), it leaves the compiled loops on disk for all processes that come later.

The wall clock can be made to jump in them (the product has no such thing: it is patched here from outside).
"""

import gc
import itertools
import signal
import time
from pathlib import Path
from tempfile import TemporaryDirectory

DAY = 86_400.0
JUMPS = (3 * DAY, -DAY, 0.0)

_real = time.time
_offset = 0.0
time.time = lambda: _real() + _offset  # before anything else takes a reference to it


def clock_jumps() -> None:
    """SIGUSR2 makes the wall clock jump, as a wrong time server would: by three days forward, four back, home again."""
    offsets = itertools.cycle(JUMPS)

    def jump(_number: int, _frame: object) -> None:
        global _offset
        _offset = next(offsets)

    signal.signal(signal.SIGUSR2, jump)


def _import_all() -> None:
    import alphawire.commands.control.state
    import alphawire.commands.development.check
    import alphawire.commands.development.plugins
    import alphawire.commands.live.produce
    import alphawire.commands.live.scorer
    import alphawire.commands.live.topics
    import alphawire.commands.live.worker
    import alphawire.commands.research.replay
    import alphawire.commands.research.verify
    import streams.kafka.brokers.embedded
    import streams.scorer.service
    import streams.service.service
    from plugins.pipeline.pipeline import prepare
    from plugins.strategy.ready import ready_strategy
    from schemas.configuration import load_config
    from streams.consuming.intake import prepare_intake
    from streams.kafka.row_batches import prepare_rows
    from tests.support.live import patient_clients, write_config

    del alphawire, streams
    patient_clients()
    with TemporaryDirectory() as folder:
        # what the compiled loops load at their first use
        file = Path(folder, "warm.yaml")
        write_config(file, "localhost:9", "warm.")
        prepare([ready_strategy(name, strategy, Path()) for name, strategy in load_config(file).strategies.items()])
    prepare_intake()
    prepare_rows()


gc.disable()
_import_all()
# what forks share stays shared: no collector of theirs writes to all its pages
gc.freeze()
gc.enable()
