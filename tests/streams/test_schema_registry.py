"""A registry that answers nonsense, slowly, or not at all is waited for; what it does not know is none."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from schemas.configuration.kafka_and_worker import Registry
from schemas.errors import AlphawireError, ConfigurationError
from streams.archive.schemas import SchemaKeeper, archived_schemas
from streams.consuming.clock_bound import ClockBound
from streams.consuming.decoding.decoders import Decoders
from streams.consuming.intake import Intake
from streams.kafka import schema_registry
from streams.kafka.schema_registry import RegisteredSchema, RegistrySchemas
from tests.streams.test_json_scanner import Fetched

AVRO = json.dumps({"type": "record", "name": "R", "fields": [{"name": "x", "type": "int"}]})
GOOD = (200, json.dumps({"schema": AVRO}))
NONSENSE: list[tuple[int, str]] = [
    (200, "<html>login</html>"), (200, "[]"), (200, '{"schema": 5}'), (200, "{}"), (500, GOOD[1]), (404, "not here"),
    (404, '{"error_code": 0}'), (401, ""), (302, ""), (200, "[" * 100_000),
    (200, '{"schema": "' + "x" * (5 << 20) + '"}'),
]  # fmt: skip


def asked(answers: dict[str, list[tuple[int, str]]], number: int) -> tuple[RegisteredSchema | None, int, str | None]:
    """What a registry with these answers, the last again and again, says of an id; pauses, and the last reason."""

    async def run() -> tuple[RegisteredSchema | None, int, str | None]:
        async def answer(request: web.Request) -> web.Response:
            left = answers[request.path]
            status, body = left.pop(0) if len(left) > 1 else left[0]
            return web.Response(status=status, text=body, headers={"Location": "http://127.0.0.1:9/"})

        app = web.Application()
        app.router.add_route("GET", "/{tail:.*}", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        pauses, reasons = list[float](), list[str | None]()

        async def pause(seconds: float) -> None:
            pauses.append(seconds)
            reasons.append(schemas.away)

        schemas = RegistrySchemas(Registry(url=f"http://127.0.0.1:{port}/"), pause)
        found = await schemas.schema(number)
        assert schemas.away is None
        await runner.cleanup()
        return found, len(pauses), reasons[-1] if reasons else None

    return asyncio.run(run())


@pytest.mark.parametrize("answer", NONSENSE, ids=lambda answer: f"{answer[0]} {answer[1][:12]}")
def test_nonsense_is_waited_out(answer: tuple[int, str]) -> None:
    found, pauses, reason = asked({"/schemas/ids/7": [answer, answer, GOOD]}, 7)
    assert found == RegisteredSchema("AVRO", AVRO)
    assert pauses == 2
    assert reason is not None
    assert "127.0.0.1" in reason


def test_an_unknown_id_is_none_at_once() -> None:
    for code in (40403, 40401):
        assert asked({"/schemas/ids/7": [(404, json.dumps({"error_code": code}))]}, 7) == (None, 0, None)


def test_references_come_with_what_they_refer_to() -> None:
    """Each after what it refers to itself; a circle ends."""
    refer: Callable[..., Any] = lambda *names: [{"name": n, "subject": f"s/{n}", "version": 3} for n in names]  # noqa: E731
    answers = {
        "/schemas/ids/7": [
            (200, json.dumps({"schema": "main", "schemaType": "PROTOBUF", "references": refer("a", "b")}))
        ],
        "/subjects/s/a/versions/3": [(200, json.dumps({"schema": "A", "references": refer("b")}))],
        "/subjects/s/b/versions/3": [(200, json.dumps({"schema": "B", "references": refer("a")}))],
    }
    found, _, _ = asked(answers, 7)
    assert found is not None
    assert (found.kind, found.text, list(found.references.items())) == ("PROTOBUF", "main", [("b", "B"), ("a", "A")])


def test_one_that_is_not_there_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused connections, and answers that do not come in time."""
    monkeypatch.setattr(schema_registry, "TIMEOUT", 0.2)

    async def run(url: str) -> str | None:
        async def give_up(_: float) -> None:
            raise InterruptedError

        schemas = RegistrySchemas(Registry(url=url), give_up)
        with pytest.raises(InterruptedError):
            await schemas.schema(1)
        return schemas.away

    async def both() -> None:
        silent = await asyncio.start_server(lambda *_: asyncio.sleep(0), "127.0.0.1", 0)
        async with silent:
            port = silent.sockets[0].getsockname()[1]
            for url in ("http://127.0.0.1:9", f"http://127.0.0.1:{port}"):
                assert "does not answer" in str(await run(url))

    asyncio.run(both())


class Held:
    """A registry in memory."""

    away = None

    def __init__(self, **schemas: str) -> None:
        self.known = {int(name[1:]): RegisteredSchema("AVRO", text) for name, text in schemas.items()}

    async def schema(self, number: int) -> RegisteredSchema | None:
        return self.known.get(number)


def value(number: int, rest: bytes = b"\x02") -> bytes:
    return b"\x00" + number.to_bytes(4, "big") + rest


def test_an_archive_keeps_schemas_and_what_was_unknown(tmp_path: Any) -> None:
    held = Held(_1=AVRO)
    asyncio.run(SchemaKeeper(tmp_path, held).keep([value(1), value(2), b"{}", None, b"\x00"]))
    kept = archived_schemas(tmp_path)
    assert kept is not None
    assert asyncio.run(kept.schema(1)) == held.known[1]
    assert asyncio.run(kept.schema(2)) is None
    with pytest.raises(ConfigurationError, match="lacks schema 3, of a record; archive again"):
        asyncio.run(kept.schema(3))
    with pytest.raises(ConfigurationError, match="holds another schema 1 than the registry has"):
        asyncio.run(SchemaKeeper(tmp_path, Held(_1='"int"')).keep([value(1)]))
    assert archived_schemas(tmp_path / "none") is None


SOURCE = json.dumps({"topic": "b", "encoding": "avro", "interval": "1m"})


def read(record: Fetched, bound: ClockBound, held: Held) -> list[str]:
    intake = Intake(0, 1, "as_is", bound, decoders=Decoders(SOURCE, held))
    asyncio.run(intake.prepare([record]))
    return [f"{letter.kind}: {letter.reason}" for letter in intake.read([record]).dead]


def test_what_is_unknown_when_it_is_read_stays_refused() -> None:
    record, live = Fetched(5, value(9), b"A"), ClockBound(clock=lambda: 1.0)
    assert read(record, live, Held()) == ["unknown_schema: there is no schema of the id 9"]
    assert live.refused == {5: 1000}
    assert read(Fetched(6, value(9), b"A"), live, Held(_9='"int"')) == ["invalid: it has no field symbol; it is 1"]
    assert read(Fetched(7, value(9), b"A"), live, Held(_9='"nothing"'))[0].startswith(
        "unknown_schema: schema 9 cannot be"
    )


def test_what_was_read_with_a_schema_is_not_folded_again_without() -> None:
    with pytest.raises(AlphawireError, match="with a schema that the registry does not know any more"):
        read(Fetched(5, value(9), b"A"), ClockBound(settled=6, clock=lambda: 1.0), Held())


def test_records_that_need_a_registry_say_so() -> None:
    intake = Intake(0, 1, "as_is", decoders=Decoders(SOURCE))
    with pytest.raises(ConfigurationError, match=r"the records need schema 9: say where it is, kafka\.registry"):
        asyncio.run(intake.prepare([Fetched(0, value(9), b"A")]))
