"""``GET /signals`` and ``GET /signals/stream``."""

import asyncio
import hmac
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import web

from schemas.configuration.kafka_and_worker import Gateway
from schemas.errors import BrokerError
from streams.service.gateway import cursor
from streams.service.gateway.history import History
from streams.service.gateway.published import Deleted, Published, Wanted
from streams.service.gateway.stream import ClientStream
from streams.service.gateway.tail import Tail
from streams.service.page_server import FOREIGN, Page, is_ours, json_response

log = logging.getLogger("alphawire.gateway")

LIMIT, MOST = 1_000, 10_000
"""Signals of one answer: unless a query says how many, and at most."""
READERS = 4
"""Queries and clients that read from the log at a time."""
RETRY_AFTER = 5
"""Seconds after which a client that was refused for want of room may come back."""
HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class Refused(Exception):
    """A request that cannot be answered: `status`, and why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass
class SignalPages:
    """The pages, and what they count."""

    settings: Gateway
    tail: Tail
    history: History
    token: str | None = None
    names: Iterable[str] = ()
    counts: Counter[str] = field(default_factory=Counter)
    open: int = 0

    def __post_init__(self) -> None:
        self._reading = asyncio.Semaphore(READERS)
        self._names = frozenset(self.names)

    def app(self, pages: Mapping[str, Page]) -> web.Application:
        """The application of aiohttp, with the `pages` that need no token."""
        app = web.Application(middlewares=[self._guarded], client_max_size=1024)
        app.router.add_get("/signals", self._query)
        app.router.add_get("/signals/stream", self._stream)
        for path, page in pages.items():
            app.router.add_get(path, _handler(page))
        return app

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Any) -> Any:
        try:
            if not all(is_ours(host, self._names) for host in request.headers.getall("Host", [])):
                raise Refused(403, FOREIGN)
            if request.path.startswith("/signals"):
                self._check_token(request)
            return await handler(request)
        except Refused as refused:
            self.counts["refused"] += 1
            answer = json_response({"error": str(refused)}, refused.status)
            if refused.status == 503:
                answer.headers["Retry-After"] = str(RETRY_AFTER)
            if refused.status == 401:
                answer.headers["WWW-Authenticate"] = "Bearer"
            return answer
        except BrokerError as error:
            return json_response({"error": str(error)}, 503)
        except (web.HTTPException, ConnectionError, asyncio.CancelledError):
            raise
        except Exception:
            log.exception("%s failed", request.path)
            return json_response({"error": "this page failed; the log of the process says why"}, 500)

    def _check_token(self, request: web.Request) -> None:
        if self.token is None:
            return
        kind, _, given = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer" or not hmac.compare_digest(given.encode(), self.token.encode()):
            raise Refused(401, "send the header Authorization: Bearer TOKEN, with the token of gateway.token_file")

    async def _query(self, request: web.Request) -> web.Response:
        known = ("strategy", "symbol", "from", "to", "limit", "after")
        given = _parameters(request, known)
        wanted = _wanted(given)
        limit = _number(given, "limit", 1, MOST)
        async with self._reading:
            start = await self._start(given.get("after"), wanted.begin, dict.fromkeys(self._numbers, 0))
            found = await self.history.query(start, wanted, LIMIT if limit is None else limit)
        self.counts["answered"] += 1
        following = b"null" if found.next is None else msgspec.json.encode(cursor.shown(found.next))
        signals = b",".join(signal.data for signal in found.signals)
        return web.Response(
            body=b'{"signals":[' + signals + b'],"next":' + following + b"}",
            content_type="application/json", charset="utf-8",
        )  # fmt: skip

    @property
    def _numbers(self) -> range:
        return range(self.history.partitions)

    async def _start(self, after: str | None, begin: int | None, otherwise: dict[int, int]) -> dict[int, int]:
        """Where to read from: what the client says, the time that it says, or `otherwise`."""
        if after is None:
            return otherwise if begin is None else await self.history.starts(begin)
        try:
            start = cursor.read(after)
        except ValueError as error:
            raise Refused(400, str(error)) from None
        if start.keys() - set(self._numbers):
            raise Refused(400, f"{after[:60]!r} names partitions that {self.history.topic} does not have")
        ranges = await self.history.ranges()
        for number, offset in start.items():
            if offset > ranges[number][1]:
                raise Refused(
                    410,
                    f"{self.history.topic}/{number} ends at offset {ranges[number][1]}, before {offset}: the topic was"
                    " made anew; begin again without a position",
                )
        return {number: start.get(number, 0) for number in self._numbers}

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        given = _parameters(request, ("strategy", "symbol", "from"))
        wanted = _wanted(given)
        if self.open >= self.settings.clients:
            raise Refused(503, f"{self.open} clients are connected, as gateway.clients allows; try again later")
        self.open += 1
        try:
            last = request.headers.get("Last-Event-ID")
            now = {number: part.end for number, part in enumerate(self.tail.parts)}
            at = await self._start(last, wanted.begin, now)
            return await self._send(request, ClientStream(self.tail, self.history, wanted, self._reading, at))
        finally:
            self.open -= 1

    async def _send(self, request: web.Request, stream: ClientStream) -> web.StreamResponse:
        """Until the client goes, or reads nothing for too long. Each event says where the client is that has got it."""
        at = dict(stream.at)
        response = web.StreamResponse(headers=HEADERS)
        await response.prepare(request)
        await response.write(f"id: {cursor.shown(at)}\nretry: {1000 * RETRY_AFTER // 5}\n\n".encode())
        async with aclosing(stream.events()) as events:
            async for batch in events:
                text = bytearray() if batch else bytearray(f"id: {cursor.shown(stream.at)}\n\n".encode())
                for one in batch:
                    at[one.partition] = one.end if isinstance(one, Deleted) else one.offset + 1
                    text += _event(one, at)
                try:
                    async with asyncio.timeout(self.settings.patience):
                        await response.write(text)
                except TimeoutError:
                    self.counts["cut_off"] += 1
                    if request.transport is not None:
                        request.transport.abort()
                    return response
                self.counts["sent"] += len(batch)
        return response


def _event(one: Published | Deleted, at: dict[int, int]) -> bytes:
    where = cursor.shown(at).encode()
    if isinstance(one, Deleted):
        text = msgspec.json.encode({"partition": one.partition, "begin": one.begin, "end": one.end})
        return b"id: %s\nevent: deleted\ndata: %s\n\n" % (where, text)
    return b"id: %s\nevent: signal\ndata: %s\n\n" % (where, one.data)


def _parameters(request: web.Request, known: Iterable[str]) -> dict[str, str]:
    given = dict(request.query)
    if unknown := sorted(given.keys() - set(known)):
        raise Refused(400, f"there is no parameter {unknown[0][:40]!r}; there is: {', '.join(known)}")
    if len(given) != len(request.query):
        raise Refused(400, "a parameter is there twice")
    return given


def _wanted(given: Mapping[str, str]) -> Wanted:
    begin, end = (_number(given, name, 0, 2**62) for name in ("from", "to"))
    return Wanted(given.get("strategy"), given.get("symbol"), begin, end)


def _number(given: Mapping[str, str], name: str, least: int, most: int) -> int | None:
    text = given.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and least <= int(text[:20]) <= most):
        what = "a time in ms since the epoch (UTC)" if name != "limit" else f"a number from {least} to {most:,}"
        raise Refused(400, f"{name} is {text[:40]!r}; it is {what}")
    return int(text)


def _handler(page: Page) -> Callable[[web.Request], Any]:
    async def handler(_request: web.Request) -> web.Response:
        return page()

    return handler
