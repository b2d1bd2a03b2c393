"""Bars in an object store: files and tables on a local S3 server (moto's), and what cannot be read there."""

import gzip
import io
import urllib.request
from collections.abc import Iterator

import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from schemas.errors import ConfigurationError
from streams.ingest.bar_files import read_bars
from streams.ingest.ordered.bar_stream import open_bars

pytest.importorskip("flask_cors", reason="pip install 'alphawire[dev]': moto's server")
from moto.server import ThreadedMotoServer

START = 1_709_908_200_000
KEY, SECRET = "AKIAEXAMPLE", "do-not-show"


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield "{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def store(host: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[pa.fs.S3FileSystem]:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    post(host, "reset", b"")
    files = pa.fs.S3FileSystem(endpoint_override=host, scheme="http", allow_bucket_creation=True, region="us-east-1")
    files.create_dir("market")
    yield files
    post(host, "reset-auth", b"inf")


def post(host: str, what: str, data: bytes) -> None:
    plain = {"Content-Type": "text/plain"}  # a form would be read as one
    urllib.request.urlopen(urllib.request.Request(f"http://{host}/moto-api/{what}", data, plain)).close()


def put(store: pa.fs.S3FileSystem, path: str, data: bytes) -> None:
    with store.open_output_stream(path, compression=None) as file:  # else it packs what is called .gz
        file.write(data)


def at(host: str, path: str) -> str:
    return f"s3://{path}?endpoint_override={host}&scheme=http"


def frame(symbols: str = "AB", volume: float = 5.0) -> pd.DataFrame:
    times = pd.Series(pd.to_datetime([START] * len(symbols), unit="ms", utc=True)).astype("datetime64[us, UTC]")
    columns = {"symbol": list(symbols), "timestamp": times, "open": 1.0, "high": 2.0, "low": 1.0, "close": 2.0}
    return pd.DataFrame(columns | {"volume": volume})


def parquet(some: pd.DataFrame) -> bytes:
    out = io.BytesIO()
    some.to_parquet(out, index=False)
    return out.getvalue()


def bars_in(address: str) -> list[list[object]]:
    """By both readers: all at once, and in parts."""
    bars = read_bars(address, "1m")
    with open_bars(address, "1m") as stream:
        pd.testing.assert_frame_equal(pd.concat(list(stream.chunks()), ignore_index=True), bars, check_like=True)
    return bars[["symbol", "open_time", "volume"]].to_numpy().tolist()


EXPECTED = [["A", START, 5.0], ["B", START, 5.0]]


@pytest.mark.parametrize("packed", ["bars.parquet", "bars.csv", "bars.csv.gz"])
def test_a_file(packed: str, store: pa.fs.S3FileSystem, host: str) -> None:
    text = frame().to_csv(index=False).encode()
    data = {"bars.parquet": parquet(frame()), "bars.csv": text, "bars.csv.gz": gzip.compress(text)}[packed]
    put(store, f"market/deep/{packed}", data)
    assert bars_in(at(host, f"market/deep/{packed}")) == EXPECTED
    assert bars_in(at(host, "market/deep")) == EXPECTED
    assert bars_in(at(host, "market")) == EXPECTED


def test_where_the_store_is_may_stand_in_the_environment(
    store: pa.fs.S3FileSystem, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, "market/bars.parquet", parquet(frame()))
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}")
    assert bars_in("s3://market/bars.parquet") == EXPECTED


def test_hive_s_folders_and_several_files(store: pa.fs.S3FileSystem, host: str) -> None:
    for symbol in "AB":
        data = parquet(frame(symbol).drop(columns="symbol"))
        put(store, f"market/hive/symbol={symbol}/data_0.parquet", data)
    put(store, "market/hive/_SUCCESS", b"")
    put(store, "market/hive/symbol=A/.data_0.parquet.crc", b"crc")
    assert bars_in(at(host, "market/hive")) == EXPECTED
    assert bars_in(at(host, "market/hive/*=B/*.parquet")) == EXPECTED[1:]


def test_a_table_of_delta_lake_is_what_its_log_says(
    store: pa.fs.S3FileSystem, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    deltalake = pytest.importorskip("deltalake")
    options = {"AWS_ENDPOINT_URL": f"http://{host}", "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1"}
    for some in (frame(volume=99.0), frame()):
        table = pa.Table.from_pandas(some, preserve_index=False)
        deltalake.write_deltalake("s3://market/tables/delta", table, mode="overwrite", storage_options=options)
    assert bars_in(at(host, "market/tables/delta")) == EXPECTED
    assert bars_in(at(host, "market/tables")) == EXPECTED
    with pytest.raises(ConfigurationError, match="table of Delta Lake: give the folder"):
        read_bars(at(host, "market/tables/delta/*.parquet"), "1m")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}")
    assert bars_in("s3://market/tables/delta") == EXPECTED


def test_a_table_of_iceberg_is_what_its_log_says(store: pa.fs.S3FileSystem, host: str) -> None:
    pytest.importorskip("pyiceberg")
    sql = pytest.importorskip("pyiceberg.catalog.sql")
    settings = {"s3.endpoint": f"http://{host}", "s3.region": "us-east-1"}
    catalog = sql.SqlCatalog("c", uri="sqlite:///:memory:", warehouse="s3://market/ice", **settings)
    catalog.create_namespace("n")
    parts = [pa.Table.from_pandas(some, preserve_index=False) for some in (frame(volume=99.0), frame())]
    table = catalog.create_table("n.bars", schema=parts[0].schema)
    table.append(parts[0])
    table.overwrite(parts[1])
    assert bars_in(at(host, table.location().removeprefix("s3://"))) == EXPECTED


@pytest.mark.parametrize("path", ["nowhere", "nowhere/bars.csv", "market/nothing/", "market/bars.csv"])
def test_nothing_there(path: str, store: pa.fs.S3FileSystem, host: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^s3://{path}: there is no such file, folder or bucket") as fault:
        read_bars(at(host, path).replace("s3://", f"s3://{KEY}:{SECRET}@"), "1m")
    assert "\n" not in str(fault.value)
    assert SECRET not in str(fault.value)


def test_who_may_not_read(store: pa.fs.S3FileSystem, host: str) -> None:
    put(store, "market/bars.parquet", parquet(frame()))
    post(host, "reset-auth", b"0")  # from now on, keys are looked at
    with pytest.raises(ConfigurationError, match=r"market/bars\.parquet: cannot be read: ") as fault:
        read_bars(at(host, "market/bars.parquet"), "1m")
    assert "ACCESS_DENIED" in str(fault.value) or "403" in str(fault.value)
    assert "\n" not in str(fault.value)
