"""Bytes to messages and back."""

from typing import TypeVar

import msgspec

from schemas.errors import BadRecord

T = TypeVar("T")
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are not what they should be: text that is no UTF-8 and deep nesting, too."""
encode = msgspec.json.Encoder(order=None).encode


def decode(decoder: "msgspec.json.Decoder[T]", value: bytes | None) -> T:
    """What `decoder` makes of the value, or `BadRecord` that says why not; no value is an empty one."""
    try:
        return decoder.decode(value or b"")
    except UNREADABLE as error:
        raise unreadable(error) from None


def unreadable(error: Exception) -> BadRecord:
    """The class of the error that a decoder raised, and its text."""
    return BadRecord("invalid" if isinstance(error, msgspec.ValidationError) else "undecodable", str(error))
