"""Serves the read-only pages on the loop that makes the signals, so that no client can keep that loop from its work.

===================  ==================================================================================================
what is bounded      how
===================  ==================================================================================================
work                 requests are answered one after the other, each followed by a pause of many times what it took
reading              a connection is read from at most a hundred times a second
connections          sixteen; a new one takes the place of the one that has kept us waiting longest
waiting              ten seconds for a request's head, for its answer to be read, and between two requests
names                a request for a foreign host is refused: a page of the web whose name leads here (DNS rebinding)
===================  ==================================================================================================
"""

import asyncio
import contextlib
import ipaddress
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any

import msgspec
from aiohttp import web

from schemas.errors import ConfigurationError

log = logging.getLogger("alphawire.web")

MOST_CONNECTIONS = 16
PATIENCE = 10.0
"""Seconds that a connection may keep us waiting."""
SHARE = 0.05
"""Of the loop's time that pages may take."""
PAUSE = 0.01
"""Seconds, at least, between two answers, between two reads from a connection, and between two new connections."""
LINGERING = 1.0
"""Seconds in which the rest of a refused body is read and thrown away, so that the client gets to see the answer."""

FOREIGN = "this is the name of another host; where it is this one's, add it to worker.http_names"

Page = Callable[[], web.Response]


def json_response(value: Any, status: int = 200) -> web.Response:
    return bytes_response(msgspec.json.encode(value), status)


def bytes_response(body: bytes, status: int = 200) -> web.Response:
    """Of JSON that is encoded already."""
    return web.Response(body=body, status=status, content_type="application/json", charset="utf-8")


class Budget:
    """Lets requests be answered in turn, and only for a small share of the loop's time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._turn = asyncio.Lock()
        self._next = 0.0

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """What runs in it should not wait for anything: its whole time counts."""
        async with self._turn:
            await asyncio.sleep(max(0.0, self._next - self._clock()))
            start = self._clock()
            try:
                yield
            finally:
                end = self._clock()
                self._next = end + max(PAUSE, (end - start) / SHARE)


def is_ours(host: str, names: Iterable[str]) -> bool:
    """Does a request's `Host` mean this service? An address always does: nobody else can let a name lead there.

    >>> is_ours("localhost:6066", ()), is_ours("10.0.0.7", ()), is_ours("[::1]:6066", ()), is_ours("evil.example", ())
    (True, True, True, False)
    """
    name = host.strip().lower()
    if name.startswith("["):
        name = name[1:].partition("]")[0]
    elif name.count(":") <= 1:
        name = name.partition(":")[0]
    name = name.removesuffix(".")
    if name == "localhost" or name.endswith(".localhost") or name in {own.lower() for own in names}:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def page_app(pages: Mapping[str, Page], names: Iterable[str] = (), budget: Budget | None = None) -> web.Application:
    """The application of aiohttp: ``GET`` and ``HEAD`` of each path."""
    known, turns = frozenset(names), budget or Budget()

    @web.middleware
    async def guarded(request: web.Request, handler: Any) -> Any:
        """A page that fails tells the log why, and whoever asks nothing of the inside (aiohttp would show the stack of
        a loop in debug mode).
        """
        try:
            async with turns.turn():
                if not all(is_ours(host, known) for host in request.headers.getall("Host", [])):
                    return json_response({"error": FOREIGN}, 403)
                return await handler(request)
        except web.HTTPException:
            raise
        except Exception:
            log.exception("the page %s failed", request.path)
            return json_response({"error": "this page failed; the log of the process says why"}, 500)

    app = web.Application(middlewares=[guarded], client_max_size=1024)
    for path, page in pages.items():
        app.router.add_get(path, _handler(page))
    return app


def _handler(page: Page) -> Any:
    async def handler(_request: web.Request) -> web.Response:
        return page()

    return handler


class _Connection(asyncio.Protocol):
    """One client's connection: aiohttp's own protocol, read from now and then."""

    def __init__(self, server: "PageServer", protocol: Any) -> None:
        self._server = server
        self._protocol = protocol
        self.waiting_since = server.clock()
        self.transport: asyncio.Transport | None = None

    @property
    def answering(self) -> bool:
        """Is its request read, and not answered yet? Then nobody waits for the client."""
        return self._protocol in self._server.answering

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._server.connections[self._protocol] = self
        self._protocol.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        assert self.transport is not None
        self._protocol.data_received(data)
        self.transport.pause_reading()
        asyncio.get_running_loop().call_later(PAUSE, self._read_on)

    def _read_on(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    def eof_received(self) -> bool | None:
        result: bool | None = self._protocol.eof_received()
        return result

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        self._server.lost(self._protocol)
        self._protocol.connection_lost(error)

    def end(self) -> None:
        if self.transport is not None:
            self.transport.abort()


class PageServer:
    """Accepts connections on `listener` and hands them to `app`, from `start` to `close`."""

    def __init__(
        self, app: web.Application, listener: socket.socket, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.clock = clock
        self.connections: dict[Any, _Connection] = {}
        self.answering: set[Any] = set()
        self._listener = listener
        self._freed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        app.middlewares.insert(0, self._answered)
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, lingering_time=LINGERING, handle_signals=False
        )

    async def start(self) -> None:
        await self._runner.setup()
        self._tasks = [asyncio.create_task(self._accept()), asyncio.create_task(self._end_patience())]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for connection in list(self.connections.values()):
            connection.end()
        await self._runner.cleanup()

    def lost(self, protocol: Any) -> None:
        del self.connections[protocol]
        self.answering.discard(protocol)
        self._freed.set()

    @web.middleware
    async def _answered(self, request: web.Request, handler: Any) -> Any:
        """Notes who waits for whom."""
        protocol = request.protocol
        self.answering.add(protocol)
        try:
            return await handler(request)
        finally:
            self.answering.discard(protocol)
            if protocol in self.connections:
                self.connections[protocol].waiting_since = self.clock()
            self._freed.set()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, _ = await loop.sock_accept(self._listener)
                await self._take(client)
            except OSError as error:  # no descriptor is left, or the client has gone
                log.warning("a connection for a page was not accepted: %s", error)
                await asyncio.sleep(1.0)
            await asyncio.sleep(PAUSE)

    async def _take(self, client: socket.socket) -> None:
        try:
            client.setblocking(False)
            await self._make_room()
            await asyncio.get_running_loop().connect_accepted_socket(self._connection, client)
        except BaseException:
            client.close()
            raise

    def _connection(self) -> _Connection:
        assert self._runner.server is not None
        return _Connection(self, self._runner.server())

    async def _make_room(self) -> None:
        """Where every client waits for us, the new one waits, too."""
        while len(self.connections) >= MOST_CONNECTIONS:
            waiting = [connection for connection in self.connections.values() if not connection.answering]
            if waiting:
                min(waiting, key=lambda connection: connection.waiting_since).end()
            self._freed.clear()
            await self._freed.wait()

    async def _end_patience(self) -> None:
        while True:
            await asyncio.sleep(PATIENCE / 10)
            oldest = self.clock() - PATIENCE
            for connection in list(self.connections.values()):
                if not connection.answering and connection.waiting_since < oldest:
                    connection.end()


@contextlib.asynccontextmanager
async def serve_pages(
    pages: Mapping[str, Page], host: str, port: int, names: Iterable[str] = ()
) -> AsyncIterator[None]:
    """Serves while the block runs, and logs where.

    Raises
    ------
    ConfigurationError
        When nothing can listen there.
    """
    with listen(host, port) as listener:
        server = PageServer(page_app(pages, [host, socket.gethostname(), *names]), listener)
        await server.start()
        shown = f"[{host}]" if ":" in host else host
        log.info("pages: http://%s:%d%s", shown, listener.getsockname()[1], next(iter(pages)))
        try:
            yield
        finally:
            await server.close()


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there; `ConfigurationError` where that cannot be."""
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        reason = str(error.strerror).partition(" (")[0]  # Python adds the address once more
        raise ConfigurationError(
            f"the pages cannot be served on {host}:{port} ({reason});"
            " choose another port with --http-port (0: any free one), or leave them out with --no-http"
        ) from None
    listener.setblocking(False)
    return listener
