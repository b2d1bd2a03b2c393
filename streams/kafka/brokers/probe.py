"""Is there a Kafka broker at this port? Asked on a plain socket, so that no event loop is needed."""

import socket
import struct

METADATA, VERSION = 3, 4
_REQUEST = struct.pack(">hhih9siB", METADATA, VERSION, 1, 9, b"alphawire", 0, 0)
"""Metadata, version 4, of no topic, creating none."""


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def port_is_free(port: int, host: str = "127.0.0.1") -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def answers(port: int, host: str = "127.0.0.1", timeout: float = 1.0) -> bool:
    """True when the broker there answers a Kafka metadata request and knows at least one broker (itself)."""
    try:
        with socket.create_connection((host, port), timeout) as connection:
            connection.settimeout(timeout)
            connection.sendall(struct.pack(">i", len(_REQUEST)) + _REQUEST)
            reply = _receive(connection, struct.unpack(">i", _receive(connection, 4))[0])
    except (OSError, EOFError, struct.error):
        return False
    _correlation, _throttle, brokers = struct.unpack_from(">iii", reply)
    return bool(brokers > 0)


def _receive(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        block = connection.recv(size - len(data))
        if not block:
            raise EOFError
        data += block
    return data
