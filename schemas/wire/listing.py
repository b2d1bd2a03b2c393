"""The listing of plugins: what is on the topics `plugins`, `plugins.requests` and `plugins.replies`."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from schemas.errors import BadRecord
from schemas.wire.decoding import decode

MAX_REQUEST_BYTES = 4 * 1024


class PluginEntry(Struct):
    """Topic `plugins`, key ``category/key``: one registered plugin."""

    category: str
    key: str
    version: str
    distribution: str
    distribution_version: str
    module: str
    summary: str
    available: bool
    install: Annotated[str | None, Meta(description="the command that makes it available, when it is not")] = None
    outputs: list[str] | None = None
    requires: Annotated[list[str] | None, Meta(description="columns of other features that it reads")] = None
    labels: Annotated[dict[str, dict[str, str]] | None, Meta(description="by column: what its numbers stand for")] = (
        None
    )
    parameters: dict[str, Any] | None = None
    cost: str | None = None
    source_sha256: Annotated[
        str | None,
        Meta(description="of its code: its module and what that imports from its own folder; null: in no file"),
    ] = None


class PluginRequest(Struct):
    """Topic `plugins.requests`: ask for the listing; `category` and `key` narrow it."""

    id: Annotated[str, Meta(min_length=1, max_length=200)]
    category: str | None = None
    key: str | None = None


class PluginReply(Struct):
    """Topic `plugins.replies`, key the request's id."""

    id: str
    plugins: list[PluginEntry]
    error: str | None = None


_decoder = msgspec.json.Decoder(PluginRequest)


def decode_request(value: bytes | None) -> PluginRequest:
    """A valid request, or `BadRecord` that says why not."""
    if value is not None and len(value) > MAX_REQUEST_BYTES:
        raise BadRecord("too_large", f"{len(value)} bytes; a request has at most {MAX_REQUEST_BYTES}")
    return decode(_decoder, value)
