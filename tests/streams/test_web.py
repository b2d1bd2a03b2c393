"""The pages over HTTP: what is served, what is refused, and that nothing of the inside is told."""

import asyncio
import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from streams.kafka.brokers import TansuBroker
from streams.kafka.brokers.probe import free_port
from streams.kafka.topics import create_topics
from streams.service.page_server import page_app
from streams.service.web import PAGES
from tests.support.deadlines import deadline
from tests.support.live import WorkerProcess, wait_for, write_config

pytestmark = pytest.mark.broker

OURS = [*PAGES, "/plugins", "/status"]
FAUSTS = [
    "/",
    "/graph",
    "/graph/",
    "/router",
    "/router/",
    "/router/topics",
    "/table",
    "/table/",
    "/stats",
    "/performance/",
]


@pytest.fixture(scope="module")
def port(tansu: TansuBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    file: Path = tmp_path_factory.mktemp("web") / "alphawire.yaml"
    port = free_port()
    config = write_config(file, tansu.bootstrap, "web.", http=True, http_port=port)
    asyncio.run(create_topics(config.kafka))
    with WorkerProcess(file) as worker:
        wait_for(worker.ready)
        wait_for(lambda: worker.process.poll() is not None or reachable(port))
        yield port
        assert worker.stop() == 0


def reachable(port: int, host: str = "127.0.0.1") -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


def ask(port: int, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=deadline(10))
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize("path", OURS)
def test_pages_can_be_read_and_nothing_else(port: int, path: str) -> None:
    assert json.loads(ask(port, "GET", path)[1])
    assert ask(port, "HEAD", path) == (200, "")
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "SEARCH"):
        assert ask(port, method, path, b"{}")[0] == 405, method


@pytest.mark.parametrize("path", FAUSTS)
def test_none_of_fausts_own_pages(port: int, path: str) -> None:
    assert ask(port, "GET", path)[0] == 404


@pytest.mark.parametrize(
    "path",
    ["/../", "/..%2f..%2fetc/passwd", "//etc/passwd", "/static/", "/plugins/../../etc/passwd", "/%00", "/status/"],
)
def test_no_files_are_served(port: int, path: str) -> None:
    status, text = ask(port, "GET", path)
    assert status in (400, 404)
    assert "root:" not in text
    assert "Traceback" not in text


def test_requests_are_bounded(port: int) -> None:
    assert ask(port, "GET", "/status?" + "x" * 10_000)[0] == 400
    assert ask(port, "GET", "/status", **{"X-Long": "x" * 10_000})[0] == 400
    assert ask(port, "GET", "/status", **{f"X-{number}": "x" for number in range(200)})[0] == 400
    status, text = ask(port, "POST", "/status", b"x" * (8 << 20))
    assert (status, "Traceback" in text) == (405, False)
    assert ask(port, "GET", "/status")[0] == 200


def test_what_is_no_http_is_answered_without_the_inside(port: int) -> None:
    for raw in (
        b"\x16\x03\x01\x02\x00",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /status\r\n\r\n",
        b"\x00" * 100 + b"\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", port), 10) as connection:
            connection.sendall(raw)
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(10)
            said = b"".join(iter(lambda connection=connection: connection.recv(65536), b""))  # type: ignore[misc]
        assert b"Traceback" not in said
        assert b".py" not in said
    assert ask(port, "GET", "/status")[0] == 200


def test_only_loopback_listens(port: int) -> None:
    """Nothing but 127.0.0.1: not another address of loopback, and so none of a network either."""
    assert reachable(port)
    assert not reachable(port, "127.0.0.2")


def broken() -> web.Response:
    raise RuntimeError("the inside")


def test_a_page_that_fails_tells_nothing(caplog: Any) -> None:
    """Also on a loop in debug mode, where aiohttp itself would show the stack."""

    async def run() -> tuple[int, str]:
        asyncio.get_running_loop().set_debug(True)
        async with TestClient(TestServer(page_app({"/": broken}))) as client, client.get("/") as answer:
            return answer.status, await answer.text()

    status, text = asyncio.run(run())
    assert status == 500
    assert "inside" not in text
    assert "RuntimeError: the inside" in caplog.text
