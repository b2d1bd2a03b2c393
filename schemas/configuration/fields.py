"""Types that the sections share: intervals, addresses, names, and the base of every section."""

from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from schemas.wire import bar_length, in_days, interval_ms, months_of


def _interval(value: str) -> str:
    interval_ms(value)
    return value


def _file_interval(value: str) -> str:
    return value if months_of(value) else _interval(in_days(value))


def _bar_interval(value: str) -> str:
    value = in_days(value)
    try:
        bar_length(value)
    except ValueError as error:
        raise ValueError(f"{error}; of bars that differ in length, their name, such as volume:10000 or 1M") from None
    return value


def _addresses(value: str) -> str:
    for address in value.split(","):
        if "@" in address:  # a mistake that could hold a password, so it is not shown
            raise ValueError("an address of a broker has no user; write HOST:PORT, and kafka.username")
        host, _, port = address.strip().rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            raise ValueError(f"{address.strip()!r} is no address of a broker; write HOST:PORT, such as localhost:9092")
    return value


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ValueError, OSError, KeyError):  # a path, a folder, a name that is not there
        raise ValueError(f"there is no time zone {value!r}; write one as America/New_York") from None
    return value


Interval = Annotated[str, AfterValidator(_interval)]
FileInterval = Annotated[str, AfterValidator(_file_interval)]
BarInterval = Annotated[str, AfterValidator(_bar_interval)]
"""Also of bars that are not all of one length."""
Addresses = Annotated[str, AfterValidator(_addresses)]
Zone = Annotated[str, AfterValidator(_zone)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,63}$")]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
