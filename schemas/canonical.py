"""Canonical JSON and the hashes that stand on it."""

import hashlib
import json
from pathlib import Path
from typing import Any


def canonical_json(value: Any) -> bytes:
    """Sorted keys, no white space, UTF-8; NaN and infinities are refused: equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def sha256_hex(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def config_hash(resolved: Any) -> str:
    """Hash of a strategy's resolved configuration: the first 16 hex digits of the SHA-256 of its canonical JSON."""
    return sha256_hex(canonical_json(resolved))[:16]


def signal_id(strategy: str, symbol: str, time: int) -> str:
    """The id of the signal of `strategy` for `symbol`'s bar that closed at `time` (ms): 32 hex digits."""
    return hashlib.sha256(f"{strategy}\x1f{symbol}\x1f{time}".encode()).hexdigest()[:32]


def file_sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
