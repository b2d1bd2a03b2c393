"""A TCP proxy between one worker and the broker: the network, as the suite can cut it."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from typing import Any

HOST = "127.0.0.1"
END_TXN = 26
"""Number of the request that commits or aborts a transaction, in Kafka's protocol; it follows the request's length."""


class Proxy:
    """Passes bytes on from `port` to `target`, in a thread of its own, until `close`.

    `hold` lets nothing through and tells nobody, as a broken line does; `release` passes on what waited, so that a
    zombie's requests arrive late. `hold_answers` lets requests through, so that what they did is not known here;
    `hold_answer_of_commit` does so from the next end of a transaction on. `cut` breaks all connections off and refuses
    new ones until `release`.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._requests, self._answers = asyncio.Event(), asyncio.Event()
        self._awaited: bytes | None = None
        self._heal()
        self._writers: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._server: asyncio.Server = self._run(asyncio.start_server(self._serve, HOST, 0))
        self.port = self._server.sockets[0].getsockname()[1]

    def hold(self) -> None:
        self._loop.call_soon_threadsafe(self._requests.clear)
        self.hold_answers()

    def hold_answers(self) -> None:
        self._loop.call_soon_threadsafe(self._answers.clear)

    def hold_answer_of_commit(self) -> None:
        self._loop.call_soon_threadsafe(setattr, self, "_awaited", END_TXN.to_bytes(2, "big"))

    def cut(self) -> None:
        self._loop.call_soon_threadsafe(self._break)

    def release(self) -> None:
        self._loop.call_soon_threadsafe(self._heal)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._break)
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(5)

    def _break(self) -> None:
        self._refusing = True
        for writer in list(self._writers):
            writer.transport.abort()

    def _heal(self) -> None:
        self._refusing = False
        self._awaited = None
        self._requests.set()
        self._answers.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pair = [writer]
        with contextlib.suppress(OSError):
            if not self._refusing:
                there, back = await asyncio.open_connection(HOST, self.target)
                pair.append(back)
                self._writers.update(pair)
                requests = self._pump(reader, back, self._requests, self._look)
                await asyncio.gather(requests, self._pump(there, writer, self._answers))
        self._writers.difference_update(pair)
        for end in pair:
            end.transport.abort()

    def _look(self, request: bytes) -> None:
        """aiokafka writes each request by itself, so what is read begins with one."""
        if self._awaited is not None and request[4:6] == self._awaited:
            self._awaited = None
            self._answers.clear()

    @staticmethod
    async def _pump(
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        gate: asyncio.Event,
        look: Callable[[bytes], None] = lambda data: None,
    ) -> None:
        """Raises at the end of either side, so that the other is closed too."""
        while data := await reader.read(1 << 16):
            look(data)
            await gate.wait()
            writer.write(data)
            await writer.drain()
        raise ConnectionResetError
