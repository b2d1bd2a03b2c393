"""``alphawire resume``."""

from alphawire.wishing import resume as command

__all__ = ["command"]
