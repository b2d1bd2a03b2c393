"""Where a reader is on a topic: an offset for each partition."""

import re
from collections.abc import Mapping

Cursor = Mapping[int, int]
"""By partition, the offset of the next record."""

_CURSOR = re.compile(r"\d{1,6}:\d{1,19}(,\d{1,6}:\d{1,19})*")


def shown(cursor: Cursor) -> str:
    """As the id of an event, and as the parameter ``after``.

    >>> shown({1: 40, 0: 17})
    '0:17,1:40'
    """
    return ",".join(f"{partition}:{offset}" for partition, offset in sorted(cursor.items()))


def read(text: str) -> dict[int, int]:
    """
    >>> read("0:17,1:40")
    {0: 17, 1: 40}

    Raises
    ------
    ValueError
        It is no cursor.
    """
    if not _CURSOR.fullmatch(text):
        raise ValueError(f"{text[:60]!r} is no position; send back what an event or an answer said")
    return {int(partition): int(offset) for partition, offset in (part.split(":") for part in text.split(","))}
