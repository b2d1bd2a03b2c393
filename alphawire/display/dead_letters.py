"""Dead letters, and what became of them, in text and as JSON."""

import json
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streams.dead_letters.letters import Letter, Place
    from streams.dead_letters.reinjection import Replayed

SHOWN_REFUSALS = 20
SHOWN_REASON, SHOWN_KEY = 100, 24
HEX_ROW = 32
MAX_HEX_ROWS = 32


def absent_text(places: "list[Place]") -> str:
    return f"there is no dead letter {', '.join(map(str, places))}; `alphawire dead-letters list` shows what there is"


def outcome(result: "Replayed", dry_run: bool) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        "replayed": [
            {"letter": str(item.letter.place), "topic": item.record.topic, "partition": item.partition}
            for item in result.replayed
        ],
        "replayed_before": list(map(str, result.before)),
        "refused": [{"letter": str(letter.place), "reason": reason} for letter, reason in result.refused],
        "missing": list(map(str, result.missing)),
    }


def result_text(result: "Replayed", dry_run: bool) -> str:
    lines = [f"{letter.place}: stays: {one_line(reason)}" for letter, reason in result.refused[:SHOWN_REFUSALS]]
    if len(result.refused) > SHOWN_REFUSALS:
        lines.append(f"and {len(result.refused) - SHOWN_REFUSALS} more stay")
    if result.missing:
        lines.append(absent_text(result.missing))
    back = f"{len(result.replayed)} {'would be' if dry_run else 'were'} put back"
    before = f", {len(result.before)} had been put back before" if result.before else ""
    return "\n".join([*lines, f"{back}{before}, {len(result.refused)} stay"])


def summary(letter: "Letter", replayed: bool) -> dict[str, Any]:
    """What is known of a letter, without its bytes."""
    return {
        "partition": letter.place.partition, "offset": letter.place.offset, "timestamp": letter.timestamp,
        "error": letter.error, "reason": letter.reason, "replayed": replayed,
        "from": {"topic": letter.topic, "partition": letter.partition, "offset": letter.offset},
        "truncated": letter.truncated, "sha256": letter.sha256,
    }  # fmt: skip


def list_line(letter: "Letter", replayed: bool) -> str:
    """One line of the list; the key is the symbol, of bars."""
    state, reason = "replayed" if replayed else "", one_line(letter.reason, SHOWN_REASON)
    key = "-" if letter.key is None else one_line(letter.key.decode("utf-8", "backslashreplace"), SHOWN_KEY)
    return f"{letter.place!s:>12}  {time_text(letter.timestamp)}  {key:<8}  {letter.error:<15}  {state:<8}  {reason}"


def details(letter: "Letter", replayed: bool) -> dict[str, Any]:
    """`summary` with key and value: JSON where the value is that, else text, else hexadecimal."""
    about = summary(letter, replayed)
    about |= {"key": None if letter.key is None else letter.key.decode("utf-8", "backslashreplace")}
    if letter.value is None:
        return about | {"value": None}
    try:
        text = letter.value.decode()
    except UnicodeDecodeError:
        return about | {"hex": letter.value.hex()}
    try:
        return about | {"value": json.loads(text, parse_constant=_no_json, parse_float=_finite)}
    except (ValueError, RecursionError):
        return about | {"text": text}


def _no_json(name: str) -> Any:
    raise ValueError(name)


def _finite(text: str) -> float:
    """A number beyond all numbers stays text: as a value it would be infinite, which no JSON can say."""
    if math.isinf(number := float(text)):
        raise ValueError(text)
    return number


def letter_text(about: dict[str, Any], letter: "Letter") -> str:
    lines = [f"letter     {letter.place}{'  (put back already)' if about['replayed'] else ''}"]
    lines += [
        f"from       {one_line(letter.topic)}/{letter.partition} offset {letter.offset}",
        f"time       {time_text(letter.timestamp)}",
        f"error      {one_line(letter.error)}",
        f"reason     {one_line(letter.reason)}",
        f"key        {'none' if about['key'] is None else one_line(about['key'])}",
    ]
    if letter.truncated is not None:
        lines.append(f"truncated  of {letter.truncated} bytes with SHA-256 {letter.sha256}")
    if "hex" in about:
        return "\n".join([*lines, "value", *_hex_rows(letter.value or b"")])
    value = json.dumps(about["value"], indent=2) if "value" in about else one_line(about["text"])
    return "\n".join([*lines, f"value      {value}"])


def _hex_rows(data: bytes) -> list[str]:
    starts = range(0, len(data), HEX_ROW)[:MAX_HEX_ROWS]
    rows = [f"  {start:08x}  {data[start : start + HEX_ROW].hex(' ')}" for start in starts]
    return rows if len(data) <= HEX_ROW * MAX_HEX_ROWS else [*rows, f"  … {len(data)} bytes; --json has them all"]


def one_line(text: str, length: int = 2000) -> str:
    """What comes from a record may not move the terminal's cursor, nor turn its text round."""
    shown = "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)
    return shown if len(shown) <= length else shown[: length - 1] + "…"


def time_text(time: int) -> str:
    try:
        return datetime.fromtimestamp(time / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"{time} ms"
