"""Bytes to messages and back."""

import re
from decimal import Decimal, InvalidOperation
from typing import TypeVar

import msgspec

from schemas.errors import BadRecord

T = TypeVar("T")
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are not what they should be: text that is no UTF-8 and deep nesting, too."""
encode = msgspec.json.Encoder(order=None).encode


_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*+"|-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?')
LONGEST, DIGITS = 40, 18
"""Characters of a number that is looked at, and digits of an integer that it may be."""


def decode(decoder: "msgspec.json.Decoder[T]", value: bytes | None) -> T:
    """What `decoder` makes of the value, or `BadRecord` that says why not; no value is an empty one.

    An integer may be written ``1.38E12`` or ``12.0``, as JSON Schema has it and Java, JavaScript and PHP write it.
    """
    try:
        return decoder.decode(value or b"")
    except UNREADABLE as error:
        if "got `float`" not in str(error):
            raise unreadable(error) from None
    try:
        return decoder.decode(_TOKENS.sub(_plain_integer, value or b""))
    except UNREADABLE as error:
        raise unreadable(error) from None


def _plain_integer(token: re.Match[bytes]) -> bytes:
    """A number without a fraction by its digits; all else as it is."""
    text = token[0]
    if text[:1] == b'"' or text.isdigit() or len(text) > LONGEST:
        return text
    try:
        number = Decimal(text.decode())
    except InvalidOperation:  # an exponent beyond what even decimals have
        return text
    # -0.0 stays: a field of floats in the same record would lose its sign
    if number.adjusted() > DIGITS or (number.is_zero() and number.is_signed()) or number != int(number):
        return text
    return b"%d" % int(number)


def unreadable(error: Exception) -> BadRecord:
    """The class of the error that a decoder raised, and its text."""
    return BadRecord("invalid" if isinstance(error, msgspec.ValidationError) else "undecodable", str(error))
