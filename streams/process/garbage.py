"""Python's search for garbage in a service; while it starts there is none (`alphawire.cli`)."""

import gc


def search_from_here() -> None:
    """What is there by now, libraries and plugins, stays: to look through it stops the event loop for 0.2 s (seen)."""
    gc.freeze()
    gc.enable()
