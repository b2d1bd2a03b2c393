"""What stands in a column of symbols of news: lists as text, cashtags, prefixes of exchanges."""

import ast
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from schemas.errors import BadRecord

NAMES = ("symbol", "ticker", "code")
"""What a list of objects may call their symbol."""
SEPARATORS = str.maketrans(",;|", "   ")
_CODES = """
NASDAQ NASDAQGS NASDAQGM NASDAQCM NYSE NYSEARCA NYSEAMERICAN NYSEMKT AMEX ARCA BATS CBOE IEX OTC OTCMKTS OTCBB OTCQB
OTCQX PINK TSX TSXV TSE CSE CVE NEO LSE LON AIM XETR XETRA FWB FRA ETR EPA EURONEXT AMS EBR BIT MIL BME SIX SWX VIE
OMX STO CPH HEL OSL WSE TYO HKEX HKG SSE SHA SZSE SHE NSE BSE ASX KRX KOSDAQ SGX TPE TWSE JSE
XNAS XNYS XASE XCBO ARCX BATO XTSE XTSX XLON XFRA XPAR XAMS XBRU XLIS XMIL XMAD XSWX XWBO XSTO XCSE XHEL XOSL XWAR
XTKS XHKG XSHG XSHE XNSE XBOM XASX XKRX XSES XTAI XJSE
"""
EXCHANGES = frozenset(_CODES.split())
"""A code before a colon that names where a symbol is traded, and is no part of it: as TradingView, Google,
Yahoo and news wires write it, and market identifier codes (ISO 10383)."""
_BRACKETS = re.compile(r"[\[\](){}]")
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")
_SIDE_BY_SIDE = re.compile(r"['\"]\s+['\"]")
_SPACED = re.compile(r"\b([A-Z_]+):\s+")


def symbols_in(value: Any) -> list[str]:
    """The symbols of a list, or of the text of one: JSON, Python's or NumPy's own writing, or with commas, semicolons,
    bars or spaces between; each once, in their order.

    >>> symbols_in("['AAPL', 'MSFT']"), symbols_in('["BRK B"]'), symbols_in("(NYSE: T), BAC")
    (['AAPL', 'MSFT'], ['BRK B'], ['NYSE:T', 'BAC'])

    Raises
    ------
    BadRecord
        For what is no list of symbols.
    """
    names = _of_text(value.strip()) if isinstance(value, str) else _of_value(value)
    return [*dict.fromkeys(name for name in names if name)]


def plain(symbol: str) -> str:
    """Without the sign of a cashtag and the exchange before a colon, as bars are called.

    >>> plain("$NVDA"), plain("NASDAQ:GOOG"), plain("AAPL:US"), plain("$")
    ('NVDA', 'GOOG', 'AAPL:US', '$')
    """
    exchange, colon, name = symbol.partition(":")
    if colon and name and exchange.upper() in EXCHANGES:
        symbol = name
    return symbol[1:] if symbol[:1] == "$" and symbol[1:2].isalnum() else symbol


def _of_value(value: Any) -> list[str]:
    if isinstance(value, str):
        return _separated(value)
    if isinstance(value, list | tuple | set | np.ndarray):
        items = sorted(value) if isinstance(value, set) else list(value)
        return [name for item in items for name in _of_item(item)]
    return _of_item(value)


def _of_item(item: Any) -> list[str]:
    if isinstance(item, Mapping):
        name = next((item[name] for name in NAMES if name in item), None)
        if name is None:
            raise BadRecord("invalid", f"its symbols are objects without {', '.join(NAMES)}")
        return _of_item(name)
    missing = item is None or item is pd.NA or (isinstance(item, float) and item != item)
    if missing:
        return []
    text = str(int(item)) if isinstance(item, float) and item.is_integer() else str(item).strip()
    return [_SPACED.sub(r"\1:", text)]


def _of_text(text: str) -> list[str]:
    if not _BRACKETS.search(text) and text[:1] not in "\"'":
        return _separated(text)
    # Python joins 'AAPL' 'MSFT', NumPy's list of two, to one
    readers = (json.loads,) if _SIDE_BY_SIDE.search(text) else (json.loads, ast.literal_eval)
    for read in readers:
        try:
            return _of_value(read(text))
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            continue
    if quoted := _QUOTED.findall(text):  # NumPy's ['AAPL' 'MSFT'], array([...]), [np.str_('AAPL')]
        return [(single or double).strip() for single, double in quoted]
    return _separated(_BRACKETS.sub(" ", text))


def _separated(text: str) -> list[str]:
    return _checked(_SPACED.sub(r"\1:", text).translate(SEPARATORS).split())


def _checked(names: Iterable[str]) -> list[str]:
    found = list(names)
    if any(set(name) & set("\"'[]{}") for name in found):
        raise BadRecord("invalid", f"its symbols are no list: {' '.join(found)[:80]}")
    return found
