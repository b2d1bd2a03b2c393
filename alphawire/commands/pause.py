"""``alphawire pause``."""

from alphawire.wishing import pause as command

__all__ = ["command"]
