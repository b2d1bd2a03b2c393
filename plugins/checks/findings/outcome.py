"""How a check ends: it returns what it saw, or raises one of these."""


class Failed(Exception):
    """The plugin broke a promise: what was seen, and how to mend it."""

    def __init__(self, saw: str, mend: str) -> None:
        super().__init__(saw)
        self.saw, self.mend = saw, mend


class Inapplicable(Exception):
    """The check does not apply to this plugin; the text is the reason."""
