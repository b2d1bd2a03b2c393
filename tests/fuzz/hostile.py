"""Valid records made invalid, or valid in a strange way: by bytes, and by what their JSON means."""

import json
import random
from typing import Any

# fmt: off
TOKENS = [
    b"NaN", b"Infinity", b"-Infinity", b"1e400", b"-1e400", b"1e-400", b"9" * 5000, b"-0", b"-0.0", b"0x10",
    b"null", b"true", b"[" * 2000, b"{" * 500, b'{"a":' * 2000, b"]" * 50, b'"', b"\\", b"\\u0000", b"\\ud800",
    b"\\udc00\\ud800",
    b"\xff\xfe", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x00", b"\n", b"\xe2\x80\xae", b"\xe2\x80\x8b",
    b"{}", b"[]", b",,", b"::", b"!!python/object:os.system", b"&a [*a]", b"*a", b"<<: 1", b"2001-99-99", b"!!binary x",
    b"!!map [1]", b"? [1]: 2", b"---\n---\n", b"\t", b"%YAML 9\n", b"1:99:99", b"!!float x", b"!!int x",
    b"!!timestamp x", b"!!set {a}", b"!!omap [1]", b"!!pairs [1]",
]
VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**400, 1e308, 5e-324, -0.0,
    0.1, "", "0", "NaN", "a" * 70, "a" * 20_000, "\x00", "\ud800", "\u202e", "\u200b", "../../etc/passwd",
    "/etc/passwd", "bars", "bars/0", "signals", "%s%n{0}", [], {}, [[]], {"": None}, [0] * 100,
]
# fmt: on


def mutated(rng: random.Random, valid: bytes) -> bytes:
    """One to three changes to a valid record."""
    for _ in range(rng.randint(1, 3)):
        valid = rng.choice((_bytes, _token, _slice, _deep, _meaning, _meaning, _meaning))(rng, valid)
    return valid


def _bytes(rng: random.Random, data: bytes) -> bytes:
    changed = bytearray(data or b" ")
    for _ in range(rng.randint(1, 4)):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def _token(rng: random.Random, data: bytes) -> bytes:
    begin = rng.randint(0, len(data))
    return data[:begin] + rng.choice(TOKENS) + data[min(len(data), begin + rng.choice((0, 0, 1, 3, 10))) :]


def _deep(rng: random.Random, data: bytes) -> bytes:
    """A field more, nested deeper than a decoder may follow."""
    places = [place for place, byte in enumerate(data) if byte == ord("{")]
    if not places:
        return data
    begin, depth = rng.choice(places) + 1, rng.choice((3, 500, 3000))
    opened, closed = rng.choice(((b"[", b"]"), (b'{"a":', b"}")))
    return data[:begin] + b'"x": ' + opened * depth + b"1" + closed * depth + b", " + data[begin:]


def _slice(rng: random.Random, data: bytes) -> bytes:
    begin, end = sorted((rng.randint(0, len(data)), rng.randint(0, len(data))))
    return data[:begin] + data[begin:end] * rng.choice((0, 0, 2, 20)) + data[end:]


def _meaning(rng: random.Random, data: bytes) -> bytes:
    """Another value, name or nesting somewhere in the JSON; where there is none any more, another byte."""
    try:
        value = json.loads(data)
        return json.dumps(_changed(rng, value), ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):
        return _bytes(rng, data)


def _changed(rng: random.Random, value: Any) -> Any:
    if isinstance(value, dict) and value and rng.random() < 0.9:
        name = rng.choice(list(value))
        dice = rng.random()
        if dice < 0.1:
            return {other: value[other] for other in value if other != name}
        if dice < 0.2:
            return value | {str(rng.choice(VALUES)) if dice < 0.15 else f"{name}_": value[name]}
        return value | {name: _changed(rng, value[name])}
    if isinstance(value, list) and value and rng.random() < 0.9:
        place = rng.randrange(len(value))
        return [*value[:place], _changed(rng, value[place]), *value[place + 1 :]]
    if isinstance(value, int | float) and not isinstance(value, bool) and rng.random() < 0.3:
        return rng.choice((-value, value + 1, value * 1000, str(value)))
    return rng.choice(VALUES)
