"""Schemas of records by their ids, from a registry with Confluent's API.

A schema never changes under its id, so it is asked for once. While the registry is away, or answers nonsense, whoever
needs a schema waits: nothing is lost, and nothing is taken for what it is not.
"""

import asyncio
import json
import logging
import ssl
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Any, Protocol
from urllib.parse import quote

import msgspec

from schemas.configuration.kafka_and_worker import Registry
from schemas.errors import AlphawireError, ConfigurationError
from streams.kafka.credentials import secret
from streams.process.failpoints import failpoint

log = logging.getLogger("alphawire.registry")

TIMEOUT = 10.0
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0
LARGEST = 4 << 20
"""Bytes of an answer."""
REFERENCES = 100
UNKNOWN = (40401, 40402, 40403)
"""Error codes of what is not there: a subject, a version, a schema."""


class RegisteredSchema(msgspec.Struct):
    """A schema, and what it refers to, directly or not: each by its name, after what it refers to itself."""

    kind: str
    text: str
    references: dict[str, str] = {}


def schema_ids(values: Iterable[bytes | None]) -> set[int]:
    """Of records in Confluent's wire format: a zero byte, and the id in four bytes."""
    return {int.from_bytes(value[1:5], "big") for value in values if value and value[0] == 0 and len(value) > 5}


class Schemas(Protocol):
    """Where schemas lie: a registry, or an archive. `away`: why one is waited for."""

    @property
    def away(self) -> str | None: ...

    async def schema(self, number: int) -> RegisteredSchema | None:
        """The schema of that id; None: there is none. Waits while that cannot be said."""


class Unavailable(AlphawireError):
    """The registry does not answer, or not as one."""


class RegistrySchemas:
    """Those of a registry. `pause` waits between two attempts (seconds)."""

    def __init__(self, registry: Registry, pause: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._registry = registry
        self._pause = pause
        self.away: str | None = None
        """Why it is waited for."""

    async def schema(self, number: int) -> RegisteredSchema | None:
        seconds = FIRST_PAUSE
        while True:
            try:
                found = await self._asked(number)
            except Unavailable as error:
                if self.away is None:
                    log.error("schema %d is waited for: %s", number, error)
                self.away = str(error)
            else:
                if self.away is not None:
                    log.warning("the registry answers again")
                self.away = None
                return found
            failpoint("in_schema_wait")
            await self._pause(seconds)
            seconds = min(2 * seconds, LONGEST_PAUSE)

    async def _asked(self, number: int) -> RegisteredSchema | None:
        answer = await self._get(f"/schemas/ids/{number}")
        if answer is None:
            return None
        references: dict[str, str] = {}
        await self._refer(answer, references, set())
        return RegisteredSchema(str(answer.get("schemaType") or "AVRO"), _text(answer), references)

    async def _refer(self, answer: dict[str, Any], found: dict[str, str], on_the_way: set[str]) -> None:
        for reference in answer.get("references") or ():
            name = reference.get("name") if isinstance(reference, dict) else None
            if not name or name in found or name in on_the_way:
                continue
            if len(found) + len(on_the_way) >= REFERENCES:
                raise Unavailable(f"a schema of {self._registry.url} refers to more than {REFERENCES} others")
            subject, version = quote(str(reference.get("subject")), safe=""), reference.get("version")
            other = await self._get(f"/subjects/{subject}/versions/{version}")
            if other is None:
                raise Unavailable(
                    f"{self._registry.url} lacks version {version} of {subject}, which a schema refers to"
                )
            await self._refer(other, found, on_the_way | {name})
            found[name] = _text(other)

    async def _get(self, path: str) -> dict[str, Any] | None:
        """What the registry answers; None: there is no such thing."""
        status, body = await asked(self._registry, "GET", path)
        answer = _object(body)
        if status == 404 and answer is not None and answer.get("error_code") in UNKNOWN:
            return None
        if status in (401, 403):
            raise Unavailable(
                f"{self._registry.url} refuses with {status}: set kafka.registry.username and its password"
            )
        if status != 200 or answer is None or not isinstance(answer.get("schema"), str):
            raise Unavailable(
                f"{self._registry.url}{path} answers {status} {body[:80]!r}, which is no answer of a registry; see"
                " whether kafka.registry.url is right"
            )
        return answer


async def asked(registry: Registry, method: str, path: str, content: Any = None) -> tuple[int, bytes]:
    """Status and body of an answer; `Unavailable` where there is none."""
    import aiohttp

    auth = aiohttp.BasicAuth(registry.username, secret(registry)) if registry.username else None
    context = _trusting(registry)
    headers = {"Accept": "application/vnd.schemaregistry.v1+json, application/json"}
    try:
        async with (
            aiohttp.ClientSession(auth=auth, timeout=aiohttp.ClientTimeout(TIMEOUT)) as session,
            session.request(
                method,
                registry.url.rstrip("/") + path,
                json=content,
                headers=headers,
                ssl=context,
                allow_redirects=False,
            ) as answer,
        ):
            body = await answer.content.read(LARGEST + 1)
            while len(body) <= LARGEST and (more := await answer.content.read(LARGEST + 1 - len(body))):
                body += more
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise Unavailable(f"{registry.url} does not answer: {error or type(error).__name__}") from None
    if len(body) > LARGEST:
        raise Unavailable(f"{registry.url}{path} answers more than {LARGEST} bytes")
    return answer.status, body


def _trusting(registry: Registry) -> ssl.SSLContext | bool:
    try:
        return ssl.create_default_context(cafile=str(registry.ca_file)) if registry.ca_file else True
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"kafka.registry.ca_file {registry.ca_file} cannot be used: {error}") from None


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


def _text(answer: dict[str, Any]) -> str:
    return str(answer["schema"])


def no_registry(ids: Collection[int]) -> ConfigurationError:
    """Where records need schemas, and nothing says where those are."""
    return ConfigurationError(f"the records need schema {min(ids)}: say where it is, kafka.registry: {{url: …}}")


async def register(registry: Registry, subject: str, text: str) -> int:
    """The id of an Avro schema that is now there under `subject`; `AlphawireError` where the registry refuses it."""
    status, body = await asked(registry, "POST", f"/subjects/{quote(subject, safe='')}/versions", {"schema": text})
    answer = _object(body)
    if status != 200 or answer is None or not isinstance(answer.get("id"), int):
        raise AlphawireError(f"{registry.url} does not register {subject}: {status} {body[:200]!r}")
    return int(answer["id"])


async def registered_id(registry: Registry, subject: str, text: str) -> int | None:
    """The id of an Avro schema under `subject`; None: it is not there."""
    status, body = await asked(registry, "POST", f"/subjects/{quote(subject, safe='')}", {"schema": text})
    answer = _object(body)
    if status == 404 and answer is not None and answer.get("error_code") in UNKNOWN:
        return None
    if status != 200 or answer is None or not isinstance(answer.get("id"), int):
        raise Unavailable(f"{registry.url} answers {status} {body[:80]!r} to a question for {subject}")
    return int(answer["id"])
