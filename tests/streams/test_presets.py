"""Presets of tools whose files are not to be had: rows as each tool's documentation shows them, and their first bar by
hand. And what holds for every preset.
"""

# ruff: noqa: E501 - rows as they are written
import re
from pathlib import Path
from typing import Any

import pytest

from schemas.configuration import Source
from schemas.configuration.presets import preset, preset_files
from schemas.errors import ConfigurationError
from streams.ingest.bar_files import read_bars

T = 1_709_908_200_000  # 2024-03-08T14:30:00Z, 09:30 in New York, 16:30 in Athens
DAY = 1_709_856_000_000  # its midnight, UTC
ONE = (1.5, 2.5, 1.25, 2.0, 7.0)
PUBLISHED: dict[str, tuple[str, str, str, str, int]] = {
    # preset and kind → file, text, interval, symbol, first start
    "tradingview minutes": ("BINANCE_BTCUSDT, 1.csv", f"time,open,high,low,close,Volume,RSI\n{T // 1000},1.5,2.5,1.25,2,7,50\n", "1m", "BTCUSDT", T),
    "tradingview days": ("NASDAQ_AAPL, 1D_0a1b2.csv", "time,open,high,low,close,Volume\n2024-03-08,1.5,2.5,1.25,2,7\n", "1d", "AAPL", DAY),
    "ib_async": ("AAPL.csv", ",date,open,high,low,close,volume,average,barCount\n0,2024-03-08 09:30:00-05:00,1.5,2.5,1.25,2.0,7.0,1.9,3\n", "1m", "AAPL", T),
    "alpaca": ("bars.csv", "symbol,timestamp,open,high,low,close,volume,trade_count,vwap\nAAPL,2024-03-08 14:30:00+00:00,1.5,2.5,1.25,2.0,7.0,3.0,1.9\n", "1m", "AAPL", T),
    "alpaca answer": ("answer.json", '{"bars":{"AAPL":[{"t":"2024-03-08T14:30:00Z","o":1.5,"h":2.5,"l":1.25,"c":2,"v":7,"n":3,"vw":1.9}]},"next_page_token":null}', "1m", "AAPL", T),
    "polygon": ("2024-03-08.csv", f"ticker,volume,open,close,high,low,window_start,transactions\nAAPL,7,1.5,2,2.5,1.25,{T * 10**6},3\n", "1m", "AAPL", T),
    "polygon answer": ("AAPL.json", f'{{"ticker":"AAPL","results":[{{"v":7,"vw":1.9,"o":1.5,"c":2,"h":2.5,"l":1.25,"t":{T},"n":3}}],"status":"OK"}}', "1m", "AAPL", T),
    "massive": ("2024-03-08.csv", f"ticker,volume,open,close,high,low,window_start,transactions\nAAPL,7,1.5,2,2.5,1.25,{T * 10**6},3\n", "1m", "AAPL", T),
    "alphavantage minutes": ("AAPL.json", '{"Meta Data":{"2. Symbol":"AAPL"},"Time Series (1min)":{"2024-03-08 09:30:00":{"1. open":"1.5","2. high":"2.5","3. low":"1.25","4. close":"2","5. volume":"7"}}}', "1m", "AAPL", T),
    "alphavantage days": ("AAPL.json", '{"Meta Data":{"2. Symbol":"AAPL"},"Time Series (Daily)":{"2024-03-08":{"1. open":"1.5","2. high":"2.5","3. low":"1.25","4. close":"2","5. volume":"7"}}}', "1d", "AAPL", DAY),
    "histdata": ("DAT_ASCII_EURUSD_M1_2024.csv", "20240308 093000;1.5;2.5;1.25;2;7\n", "1m", "EURUSD", T),
    "histdata mt": ("DAT_MT_EURUSD_M1_2024.csv", "2024.03.08,09:30,1.5,2.5,1.25,2,7\n", "1m", "EURUSD", T),
    "dukascopy": ("EURUSD_Candlestick_1_M_BID_08.03.2024-08.03.2024.csv", "Gmt time,Open,High,Low,Close,Volume\n08.03.2024 14:30:00.000,1.5,2.5,1.25,2,7\n", "1m", "EURUSD", T),
    "dukascopy node": ("eurusd-m1-bid-2024-03-08-2024-03-09.csv", f"timestamp,open,high,low,close,volume\n{T},1.5,2.5,1.25,2,7\n", "1m", "EURUSD", T),
    "coinbase": ("BTC-USD.json", f"[[{T // 1000},1.25,2.5,1.5,2,7]]", "1m", "BTC-USD", T),
    "coinbase advanced": ("BTC-USD.json", f'{{"candles":[{{"start":"{T // 1000}","low":"1.25","high":"2.5","open":"1.5","close":"2","volume":"7"}}]}}', "1m", "BTC-USD", T),
    "kibot minutes": ("AAPL.txt", "03/08/2024,09:30,1.5,2.5,1.25,2,7\n", "1m", "AAPL", T),
    "kibot days": ("AAPL.txt", "03/08/2024,1.5,2.5,1.25,2,7\n", "1d", "AAPL", DAY),
    "firstrate": ("AAPL_full_1min_adjsplitdiv.txt", "2024-03-08 09:30:00,1.5,2.5,1.25,2,7\n", "1m", "AAPL", T),
    "firstrate header": ("AAPL_1min.csv", "timestamp,open,high,low,close,volume\n2024-03-08 09:30:00,1.5,2.5,1.25,2,7\n", "1m", "AAPL", T),
    "zipline": ("AAPL.csv", "date,open,high,low,close,volume,dividend,split\n2024-03-08,1.5,2.5,1.25,2,7,0.0,1.0\n", "1d", "AAPL", DAY),
    "tradestation days": ("AAPL.csv", '"Date","Time","Open","High","Low","Close","Vol","OI"\n03/08/2024,16:00,1.5,2.5,1.25,2,7,0\n', "1d", "AAPL", DAY),
    "kraken vwap": ("XBTUSD.csv", f"time,open,high,low,close,vwap,volume,count\n{T // 1000},1.5,2.5,1.25,2,1.9,7,3\n", "1m", "XBTUSD", T),
    "freqtrade futures": ("BTC_USDT_USDT-1m-futures.json", f"[[{T},1.5,2.5,1.25,2,7]]", "1m", "BTC/USDT:USDT", T),
    "lean crypto": ("crypto/gdax/minute/btcusd/20240308_btcusd_minute_trade.csv", "52200000,1.5,2.5,1.25,2,7\n", "1m", "BTCUSD", T),
    "metatrader5 days": ("EURUSD_Daily_202403080000_202403080000.csv", "<DATE>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>\n2024.03.08\t1.5\t2.5\t1.25\t2\t7\t0\t1\n", "1d", "EURUSD", DAY),
}  # fmt: skip
ZONES = {"tradestation days": "UTC", "metatrader5 days": "UTC"}


@pytest.mark.parametrize("kind", PUBLISHED)
def test_rows_as_they_are_documented(kind: str, tmp_path: Path) -> None:
    name, text, interval, symbol, start = PUBLISHED[kind]
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    settings: dict[str, Any] = {"preset": kind.split()[0]}
    settings |= {"time": {"zone": ZONES[kind]}} if kind in ZONES else {}
    bars = read_bars([path], interval, Source.model_validate(settings))
    assert bars[["symbol", "interval", "open_time"]].to_numpy().tolist() == [[symbol, interval, start]]
    assert tuple(bars[["open", "high", "low", "close", "volume"]].iloc[0]) == ONE


@pytest.mark.parametrize("name", preset_files())
def test_a_preset_says_where_it_comes_from_and_refuses_the_wrong_file(name: str, tmp_path: Path) -> None:
    chosen = preset(name)
    assert re.match(r"https://", chosen.url)
    assert re.match(r"20\d\d-\d\d, ", chosen.checked)
    for layout in chosen.layouts:
        Source.model_validate(layout.source | {"time": layout.source.get("time", {}) | {"zone": "UTC"}})
    path = tmp_path / "XYZ.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ConfigurationError, match=rf"is no file of preset {name} .*it begins with 'a,b'"):
        read_bars([path], "1m", Source(preset=name))


def test_a_broker_s_clock_has_to_be_said(tmp_path: Path) -> None:
    path = tmp_path / "EURUSD.csv"
    path.write_text(f"time,open,high,low,close,tick_volume,spread,real_volume\n{T // 1000},1,1,1,1,1,1,0\n")
    with pytest.raises(ConfigurationError, match=r"needs time\.zone: the clock of the broker's"):
        read_bars([path], "1m", Source(preset="metatrader5"))


def test_a_preset_that_is_none() -> None:
    with pytest.raises(ConfigurationError, match=r"there is no preset .nope.; there is: alpaca, "):
        preset("nope")
