"""A partition of trades that goes on from its last round of states, which lies before what is published."""

from schemas.configuration import Config
from schemas.wire import encode
from schemas.wire.trades import BuiltKind, BuiltMarker, OpenBars, Trade, decode_trades_state
from streams.consuming.trade_intake import TradeIntake
from streams.consuming.transport import TP, Chunk
from streams.owners.trades.partition import TradesPartition
from streams.owners.trades.stored import BuildPlan, StoredBars
from streams.publishing.pending_output import Progress
from streams.publishing.topic_names import TopicNames
from tests.support.memory import Fetched

START, MINUTE = 1_700_000_040_000, 60_000
NAMES = TopicNames.of(Config().kafka)


def records(count: int) -> list[Fetched]:
    """A trade every 20 seconds."""
    made = [Trade("A", START + 20_000 * number, 10.0, 1.0) for number in range(count)]
    return [Fetched(offset, encode(trade), b"A", "trades") for offset, trade in enumerate(made)]


def partition(floor: int, marked: int, states: dict[tuple[str, str], OpenBars]) -> TradesPartition:
    kinds = {"1m": BuiltKind(0, 0, len(states))}
    stored = StoredBars(0, 100, BuiltMarker("trades", 0, marked, kinds, floor), states)
    plan = BuildPlan(floor, marked, kinds, states, floor)
    return TradesPartition(0, NAMES, TradeIntake(0, 1, "murmur2"), plan, stored, 0.0)


def feed(part: TradesPartition, until: int) -> list[bytes]:
    """The bars that come of the records up to there."""
    begin = part.position
    part.feed(Chunk(TP("trades", 0), 1, begin, until, records(until)[begin:]))
    output, part.reached = part.take(1_000, together=True)
    return [record.value for record in output if record.topic == NAMES.bars]  # type: ignore[union-attr, misc]


def test_what_is_published_is_never_less() -> None:
    """A round of states or a marker while earlier trades are folded silently would have the next owner publish again
    what is on the log.
    """
    whole = partition(0, 0, {})
    assert len(feed(whole, 30)) == 9
    again = partition(0, 25, {})
    for until in (5, 12, 24):
        assert feed(again, until) == []
        marker = decode_trades_state(again.marker_record(again.reached).value)
        assert isinstance(marker, BuiltMarker)
        assert marker.offset == 25
        assert not again.round_ready()
    assert len(feed(again, 30)) == 1
    assert again.round_ready()
    marker = decode_trades_state(again.marker_record(Progress(30)).value)
    assert isinstance(marker, BuiltMarker)
    assert marker.offset == 30


def test_a_state_ahead_of_the_round_is_waited_for() -> None:
    """A round that broke off left a newer state: until there nothing is captured, since it would be given an older
    offset, and its trades would count twice.
    """
    whole = partition(0, 0, {})
    feed(whole, 20)
    _, states, _ = whole.capture()
    state = decode_trades_state(states[0].value)
    assert isinstance(state, OpenBars)
    again = partition(10, 12, {("1m", "A"): state})
    feed(again, 15)
    assert not again.round_ready()
    feed(again, 20)
    assert again.round_ready()
    assert feed(again, 30) == feed(whole, 30) != []
