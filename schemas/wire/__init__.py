"""The messages on the wire, one struct each. Times are integers: milliseconds since the epoch, UTC.

Not yet known or undefined is ``None``, never zero.
"""

from schemas.wire.bars import Bar, check_bar, decode_bar
from schemas.wire.control import (
    Answer,
    Applied,
    ControlRecord,
    DeletedUnread,
    Pause,
    Placed,
    RefusedBars,
    Resume,
    Use,
    Wish,
    decode_control,
)
from schemas.wire.decoding import UNREADABLE, decode, encode
from schemas.wire.fields import (
    FIRST_TIME,
    INTERVAL_UNITS,
    LAST_TIME,
    Symbol,
    Time,
    canonical_interval,
    grid_ms,
    interval_ms,
    is_symbol,
    name_of_length,
    not_a_symbol,
    spellings,
    symbol_fault,
)
from schemas.wire.listing import PluginEntry, PluginReply, PluginRequest, decode_request
from schemas.wire.signals import Model, Origin, Provenance, ShadowPrediction, Signal, SignalContent, decode_signal
from schemas.wire.state import BesideState, Gathered, Marker, Roster, Snapshot, StateRecord, decode_state

__all__ = [
    "FIRST_TIME",
    "INTERVAL_UNITS",
    "LAST_TIME",
    "UNREADABLE",
    "Answer",
    "Applied",
    "Bar",
    "BesideState",
    "ControlRecord",
    "DeletedUnread",
    "Gathered",
    "Marker",
    "Model",
    "Origin",
    "Pause",
    "Placed",
    "PluginEntry",
    "PluginReply",
    "PluginRequest",
    "Provenance",
    "RefusedBars",
    "Resume",
    "Roster",
    "ShadowPrediction",
    "Signal",
    "SignalContent",
    "Snapshot",
    "StateRecord",
    "Symbol",
    "Time",
    "Use",
    "Wish",
    "canonical_interval",
    "check_bar",
    "decode",
    "decode_bar",
    "decode_control",
    "decode_request",
    "decode_signal",
    "decode_state",
    "encode",
    "grid_ms",
    "interval_ms",
    "is_symbol",
    "name_of_length",
    "not_a_symbol",
    "spellings",
    "symbol_fault",
]
