"""``alphawire pause``."""

from alphawire.commands.control.control_requests import pause as command

__all__ = ["command"]
