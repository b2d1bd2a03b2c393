"""The pages of the documentation, taken apart: their code blocks, their inline code, and what is marked as not run."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")],
    key=lambda path: path.relative_to(ROOT).as_posix(),
)

_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_NOT_RUN = re.compile(r"<!-- not run: ([^>]+) -->\s*\Z")
_SAVED = re.compile(r"[Ss]ave this as `([\w.]+)`[^`]*\Z")
_INLINE = re.compile(r"`([^`\n]+)`")
_INDENTED = re.compile(r"(?:\A|\n\n)(?: {4}|\t)[^\s*+-]")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language and text, the line of its first line, the heading that it stands under.

    `not_run`: the reason, where it is marked so. `saved`: the file that a reader is told to save it as.
    """

    language: str
    text: str
    line: int
    heading: str
    not_run: str | None
    saved: str | None

    @property
    def commands(self) -> list[str]:
        """The lines of a block of shell, without their comments."""
        lines = (re.sub(r"\s+#.*$", "", line).strip() for line in self.text.splitlines())
        return [line for line in lines if line and not line.startswith("#")]


@dataclass(frozen=True)
class Page:
    path: Path

    @property
    def name(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @cached_property
    def text(self) -> str:
        return self.path.read_text()

    @cached_property
    def prose(self) -> str:
        """The page without its blocks."""
        return _FENCE.sub("", self.text)

    @property
    def blocks(self) -> list[Block]:
        return [self._block(found) for found in _FENCE.finditer(self.text)]

    def blocks_in(self, *languages: str) -> list[Block]:
        return [block for block in self.blocks if block.language in languages and block.not_run is None]

    @property
    def inline(self) -> list[str]:
        """What stands in single backticks."""
        return [code.strip() for code in _INLINE.findall(self.prose)]

    @property
    def indented(self) -> bool:
        """Is there a block that is indented instead of fenced, so that nobody knows its language?"""
        return _INDENTED.search(self.prose) is not None

    def _block(self, found: re.Match[str]) -> Block:
        before = self.text[: found.start()]
        headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", before), re.MULTILINE)
        reason, saved = _NOT_RUN.search(before), _SAVED.search(before.rstrip())
        return Block(
            found[1],
            found[2],
            before.count("\n") + 2,
            headings[-1] if headings else "",
            " ".join(reason[1].split()) if reason else None,
            saved[1] if saved else None,
        )


PAGES = [Page(path) for path in FILES]


def page(name: str) -> Page:
    return next(one for one in PAGES if one.name == name)
