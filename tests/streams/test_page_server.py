"""The server of the pages: what clients cost the loop that makes the signals is bounded, whatever they do."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web

from schemas.errors import ConfigurationError
from streams.service import page_server
from streams.service.page_server import Budget, Page, bytes_response, is_ours, json_response, listen, serve_pages
from tests.support.deadlines import deadline

HOST = "127.0.0.1"


class Clock:
    """Time passes only when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@contextlib.asynccontextmanager
async def served(pages: dict[str, Page], **options: Any) -> AsyncIterator[int]:
    """The port on which they are served."""
    with listen(HOST, 0) as probe:
        port: int = probe.getsockname()[1]
    async with serve_pages(pages, HOST, port, **options):
        yield port


def in_time(run: Callable[[], Any]) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(deadline(20)):
            return await run()

    return asyncio.run(bounded())


async def answer(port: int, path: str = "/", host: str = "localhost", more: str = "") -> tuple[int, bytes]:
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{more}\r\n".encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return int(head.split()[1]), body


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("localhost", True),
        ("LOCALHOST:6066", True),
        ("worker.localhost:80", True),
        ("127.0.0.1:6066", True),
        ("[::1]:6066", True),
        ("::1", True),
        ("192.168.7.9", True),
        ("Worker-1:6066", True),
        ("worker-1.:6066", True),
        ("evil.example:6066", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example", False),
        ("evil-localhost", False),
        ("", False),
    ],
)
def test_whose_host(host: str, ours: bool) -> None:
    assert is_ours(host, ["worker-1"]) is ours


def test_a_foreign_host_is_refused() -> None:
    """As a browser would send it for a page whose name was made to lead to this machine (DNS rebinding)."""

    async def run() -> list[int]:
        async with served({"/": lambda: json_response(1)}, names=["signals.example"]) as port:
            hosts = ["evil.example", "signals.example:6066", socket.gethostname(), f"{HOST}:{port}"]
            statuses = [(await answer(port, host=host))[0] for host in hosts]
            twice = (await answer(port, host="localhost", more="Host: evil.example\r\n"))[0]
            status, body = await answer(port, "/nothing", "evil.example")
            assert (status, b"worker.http_names" in body) == (403, True)
            return [*statuses, twice]

    statuses = in_time(run)
    assert statuses[:4] == [403, 200, 200, 200]
    assert statuses[4] in (400, 403)


async def half_sent(port: int, count: int) -> list[socket.socket]:
    """Clients that have sent the start of a request."""
    loop, clients = asyncio.get_running_loop(), []
    for _ in range(count):
        client = socket.socket()
        client.setblocking(False)
        await loop.sock_connect(client, (HOST, port))
        await loop.sock_sendall(client, b"GET / HTTP/1.1\r\nHost: local")
        clients.append(client)
    return clients


def test_half_sent_requests_are_few_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two hundred: pages are answered meanwhile, few descriptors are taken, and those who say no more are let go."""
    monkeypatch.setattr(page_server, "PATIENCE", 1.0)

    async def run() -> int:
        async with served({"/": lambda: json_response(1)}) as port:
            before = len(os.listdir("/proc/self/fd"))
            clients = await half_sent(port, 200)
            assert (await answer(port))[0] == 200
            taken = len(os.listdir("/proc/self/fd")) - before - len(clients)
            for client in clients:
                with contextlib.suppress(ConnectionError):
                    assert await asyncio.get_running_loop().sock_recv(client, 1) == b"", "it was not ended"
                client.close()
            return taken

    # the one that is accepted while another one is told to go is one more
    assert in_time(run) <= page_server.MOST_CONNECTIONS + 1


def test_what_is_slow_to_read_its_answer_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_server, "PATIENCE", 0.5)
    body = b"1" * (32 << 20)

    async def run() -> bool:
        async with served({"/": lambda: bytes_response(body)}) as port:
            reader, writer = await asyncio.open_connection(HOST, port, limit=1)
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await reader.readexactly(1)
            await asyncio.sleep(3 * page_server.PATIENCE)
            got = 0
            with contextlib.suppress(ConnectionError):
                while part := await reader.read(1 << 20):
                    got += len(part)
            writer.close()
            return got < len(body)

    assert in_time(run)


def test_pages_take_a_small_share_of_the_time() -> None:
    """Each takes 0.2 s by the clock; twenty times that must pass until the next one's turn."""
    clock, waited = Clock(), []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        clock.now += seconds

    async def run() -> None:
        budget = Budget(clock)
        for spent in (0.2, 0.2, 0.0, 0.0):
            async with budget.turn():
                clock.now += spent

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page_server.asyncio, "sleep", sleep)
        asyncio.run(run())
    assert waited == pytest.approx([0.0, 4.0, 4.0, 0.01])


@pytest.mark.parametrize("request_line", ["GET / HTTP/1.1", "GET /nothing HTTP/1.1", "POST / HTTP/1.1"])
def test_requests_in_a_row_wait_for_their_turn(request_line: str) -> None:
    """A thousand at once on one connection, which is what costs a client least: none is answered out of turn."""

    async def run() -> float:
        async with served({"/": lambda: json_response(1)}) as port:
            loop = asyncio.get_running_loop()
            reader, writer = await asyncio.open_connection(HOST, port)
            writer.write(f"{request_line}\r\nHost: localhost\r\n\r\n".encode() * 1000)
            start = loop.time()
            for _ in range(20):
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].split()[0])
                await reader.readexactly(length)
            writer.close()
            return loop.time() - start

    assert in_time(run) > 19 * page_server.PAUSE


def test_whoever_leaves_does_not_keep_its_turn() -> None:
    """Clients that ask and go at once leave nobody in the queue before the next one."""

    async def run() -> float:
        async with served({"/": lambda: json_response(1)}) as port:
            loop = asyncio.get_running_loop()
            for _ in range(100):
                client = socket.create_connection((HOST, port))
                client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 30)
                client.close()
                await asyncio.sleep(0)
            start = loop.time()
            assert (await answer(port))[0] == 200
            return loop.time() - start

    # without that: three thousand turns, thirty seconds
    assert in_time(run) < deadline(2.0)


def test_one_that_sends_byte_by_byte_does_not_keep_the_loop() -> None:
    """The loop wakes for it at most a hundred times a second."""
    reads = 0

    async def run() -> float:
        nonlocal reads
        async with served({"/": lambda: json_response(1)}) as port:
            received = page_server._Connection.data_received

            def counted(self: Any, data: bytes) -> None:
                nonlocal reads
                reads += 1
                received(self, data)

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(page_server._Connection, "data_received", counted)
                loop = asyncio.get_running_loop()
                with socket.create_connection((HOST, port)) as client:
                    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    start = loop.time()
                    for byte in b"GET /" + b"x" * 2000:
                        client.sendall(bytes([byte]))
                        await asyncio.sleep(0)
                    return loop.time() - start

    seconds = in_time(run)
    assert 0 < reads <= seconds / page_server.PAUSE + 2


def test_a_taken_port_and_any_free_one(caplog: pytest.LogCaptureFixture) -> None:
    with listen(HOST, 0) as taken, pytest.raises(ConfigurationError, match="--http-port"):
        listen(HOST, taken.getsockname()[1])

    async def run() -> None:
        async with serve_pages({"/status": lambda: web.Response()}, HOST, 0):
            pass

    with caplog.at_level("INFO", "alphawire.web"):
        in_time(run)
    (said,) = caplog.messages
    address = said.removeprefix("pages: http://127.0.0.1:").removesuffix("/status")
    assert int(address) > 0
