"""``alphawire resume``."""

from alphawire.commands.control.control_requests import resume as command

__all__ = ["command"]
