"""Cut the two excerpts that ship from the full files: ``python examples/data/make.py FOLDER``.

FOLDER holds `equities_minute.parquet` and `equities_daily.parquet` (README.md says where they come from). Rows are
selected, never changed.
"""

import sys
from pathlib import Path

import pandas as pd

MINUTE_SYMBOLS = ["AIG", "BAC", "IBM", "SPY"]
MINUTE_RANGE = ("2013-10-04", "2013-10-12")
DAILY_SYMBOLS = ["ABBV", "AAPL", "BABA", "BAC", "JNJ", "PTR", "SPLP", "XOM"]


def excerpt(source: Path, symbols: list[str], start: str | None = None, end: str | None = None) -> pd.DataFrame:
    """The rows of `symbols` from `start` (included) to `end` (not included), in the source's order."""
    data = pd.read_parquet(source)
    chosen = data["symbol"].isin(symbols)
    if start is not None:
        chosen &= data["timestamp"] >= pd.Timestamp(start, tz="UTC")
    if end is not None:
        chosen &= data["timestamp"] < pd.Timestamp(end, tz="UTC")
    return data[chosen].reset_index(drop=True)


def main(folder: Path, out: Path) -> None:
    minute = excerpt(folder / "equities_minute.parquet", MINUTE_SYMBOLS, *MINUTE_RANGE)
    daily = excerpt(folder / "equities_daily.parquet", DAILY_SYMBOLS)
    for name, data in (("minute", minute), ("daily", daily)):
        data.to_parquet(out / f"equities_{name}.parquet", index=False, compression="zstd")
        print(f"equities_{name}.parquet: {len(data)} rows, {data['symbol'].nunique()} symbols")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python examples/data/make.py FOLDER")
    main(Path(sys.argv[1]), Path(__file__).parent)
