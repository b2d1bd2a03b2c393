"""From what a configuration says of a reference to whose bars stand beside whose."""

import csv
from collections.abc import Collection
from pathlib import Path

from plugins.side_inputs.references import Reference
from schemas.configuration import FeatureSettings
from schemas.errors import ConfigurationError
from schemas.wire import is_symbol, not_a_symbol

HEADER = ["symbol", "reference"]


def reference_of(settings: FeatureSettings, place: str) -> Reference | None:
    """What `with` says; None: nothing.

    Raises
    ------
    ConfigurationError
        The file cannot be used, or a symbol is to stand beside itself. It names the line.
    """
    if settings.beside is None:
        return None
    symbols = settings.beside if isinstance(settings.beside, str | dict) else _read(settings.beside, f"{place}.with")
    if isinstance(symbols, dict) and (own := [symbol for symbol, other in symbols.items() if symbol == other]):
        raise ConfigurationError(f"{place}.with: {own[0]} is to stand beside itself; name another reference for it")
    return Reference(symbols, settings.stale == "last")


def check_reference(reference: Reference, members: Collection[str] | None, place: str) -> None:
    """`ConfigurationError` where some of the `members` (None: nobody knows them) would have no reference by mistake."""
    if members is None:
        return
    if isinstance(reference.symbols, str):
        if set(members) == {reference.symbols}:
            raise ConfigurationError(
                f"{place}.with: {reference.symbols} is all of the universe, and nothing stands beside itself; name"
                " another reference, or further symbols"
            )
    elif missing := sorted(set(members) - set(reference.symbols)):
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise ConfigurationError(f"{place}.with: names no reference for {', '.join(missing[:3])}{more}; add it")


def _read(path: Path, place: str) -> dict[str, str]:
    """A CSV file of symbol,reference."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise ConfigurationError(f"{place}: cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{place}: {path} is no text in UTF-8") from None
    rows = csv.reader(lines)
    header = [name.strip() for name in next(rows, [])]
    if sorted(header) != sorted(HEADER):
        columns = ",".join(header)[:80] or "nothing"
        raise ConfigurationError(
            f"{place}: {path}: the first line names {columns}; write {','.join(HEADER)} in its first line"
        )
    found: dict[str, str] = {}
    for row in filter(None, rows):
        where = f"{place}: {path}:{rows.line_num}"
        if len(row) != len(HEADER):
            raise ConfigurationError(f"{where}: {len(row)} fields instead of {len(HEADER)}")
        named = dict(zip(header, (field.strip() for field in row), strict=True))
        if bad := [symbol for symbol in named.values() if not is_symbol(symbol)]:
            raise ConfigurationError(f"{where}: {not_a_symbol(bad[0])}")
        if named["symbol"] in found:
            raise ConfigurationError(f"{where}: {named['symbol']} is there twice")
        found[named["symbol"]] = named["reference"]
    if not found:
        raise ConfigurationError(f"{place}: {path} names no symbols; write rows of {','.join(HEADER)}")
    return found
