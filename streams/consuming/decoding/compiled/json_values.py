"""Where the values of JSON end, in compiled code: of fields that nobody asked for, whose record must be JSON all the
same. What only a whole decoder can judge is odd, -1: escapes by number, letters beyond ASCII, very long numbers.
"""

import numba
import numpy as np

from streams.consuming.bar_scanner import Bytes, _digits, _skip


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def string_end(text: Bytes, at: int, end: int) -> int:
    """Where a string of visible ASCII ends whose first character is at `at`; -1: it has others, or does not end."""
    while at < end and text[at] != 34:
        if text[at] == 92:
            at += 1
            if at >= end or text[at] not in (34, 92, 47, 98, 102, 110, 114, 116):
                return -1
        elif text[at] < 32 or text[at] > 126:
            return -1
        at += 1
    return at if at < end else -1


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def number_end(text: Bytes, at: int, end: int) -> int:
    """Where a JSON number ends; -1: it is none, or so long that its value decides."""
    at += 1 if text[at] == 45 else 0
    first = at
    _, at = _digits(text, at, end)
    if at == first or at - first > 15 or (text[first] == 48 and at - first > 1):
        return -1
    if at < end and text[at] == 46:
        first = at + 1
        _, at = _digits(text, first, end)
        if at == first or at - first > 30:
            return -1
    if at < end and (text[at] == 101 or text[at] == 69):
        at += 1
        at += 1 if at < end and (text[at] == 43 or text[at] == 45) else 0
        first = at
        _, at = _digits(text, at, end)
        if at == first or at - first > 2:
            return -1
    return at


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def word_end(text: Bytes, at: int, end: int, letters: tuple[int, int, int, int]) -> int:
    """Where a word of four letters ends that begins at `at`; -1: it is another one."""
    if at + 4 > end:
        return -1
    for place in range(4):
        if text[at + place] != letters[place]:
            return -1
    return at + 4


TRUE, ALSE, NULL = (116, 114, 117, 101), (97, 108, 115, 101), (110, 117, 108, 108)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def scalar_end(text: Bytes, at: int, end: int) -> int:
    """Where a value ends that is no object and no list; -1: it is odd."""
    first = text[at]
    if first == 34:
        stop = string_end(text, at + 1, end)
        return stop + 1 if stop >= 0 else -1
    if first == 45 or 48 <= first <= 57:
        number: int = number_end(text, at, end)
        return number
    word: int = word_end(text, at + (first == 102), end, TRUE if first == 116 else ALSE if first == 102 else NULL)
    return word


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def past_key(text: Bytes, at: int, end: int) -> int:
    """Past the key and the colon of a member that begins at `at`; -1: there is none."""
    if at >= end or text[at] != 34:
        return -1
    stop = string_end(text, at + 1, end)
    if stop < 0:
        return -1
    at = _skip(text, stop + 1, end)
    return at + 1 if at < end and text[at] == 58 else -1


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def value_end(text: Bytes, at: int, end: int) -> int:
    """Where any value ends; -1: it is odd."""
    depth, objects = 0, np.uint64(0)
    while True:
        at = _skip(text, at, end)
        if at >= end:
            return -1
        opens = text[at]
        if opens == 123 or opens == 91:
            if depth == 60:
                return -1
            depth += 1
            objects = (objects << np.uint64(1)) | np.uint64(opens == 123)
            at = _skip(text, at + 1, end)
            if at >= end:
                return -1
            if text[at] != opens + 2:
                if opens == 123:
                    at = past_key(text, at, end)
                    if at < 0:
                        return -1
                continue
            at += 1
            depth -= 1
            objects >>= np.uint64(1)
        else:
            at = scalar_end(text, at, end)
            if at < 0:
                return -1
        while True:
            if depth == 0:
                return at
            at = _skip(text, at, end)
            if at >= end:
                return -1
            inside = objects & np.uint64(1) == np.uint64(1)
            if text[at] == 44:
                at = past_key(text, _skip(text, at + 1, end), end) if inside else at + 1
                if at < 0:
                    return -1
                break
            if text[at] != (125 if inside else 93):
                return -1
            at += 1
            depth -= 1
            objects >>= np.uint64(1)
