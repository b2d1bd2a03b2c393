"""``alphawire models``."""

from alphawire.models import models as command

__all__ = ["command"]
