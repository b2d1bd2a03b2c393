"""Universes: who is a member when, from a list, a rule, a file, a history; and what is wrong with a file.

Source: membership by date against pandas `IntervalIndex`, closed on the left.
"""

import random
from datetime import UTC, datetime

import pandas as pd
import pytest
from pydantic import ValidationError

from plugins.strategy.ready import ready_strategy
from plugins.strategy.universe import Universe, universe_of
from schemas.configuration import Config, Strategy
from schemas.errors import ConfigurationError

DAY = 86_400_000


def strategy(universe, **more) -> Strategy:
    plain = {
        "interval": "1d", "universe": universe, "features": ["statistical.momentum"], "prediction": "momentum",
        "signal": "signal.ranking",
    }  # fmt: skip
    return Strategy.model_validate(plain | more)


def at(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.fixture
def history(tmp_path):
    def write(text: str):
        path = tmp_path / "members.csv"
        path.write_text(text)
        return {"history": path}

    return write


def test_a_history_says_who_was_a_member_when(history):
    given = history(
        "symbol,from,to\nNEW,2024-03-01,\nOLD,2020-01-01,2024-02-01\nBACK,2020-01-01,2021-01-01\nBACK,2024-01-01,\n"
    )
    universe = universe_of("demo", strategy(given))
    assert universe.symbols == {"NEW", "OLD", "BACK"}
    assert [universe.member("OLD", at(day)) for day in ("2019-12-31", "2020-01-01", "2024-01-31", "2024-02-01")] == [
        False, True, True, False,
    ]  # fmt: skip
    assert [universe.left("OLD", at(day)) for day in ("2019-12-31", "2024-01-31", "2024-02-01")] == [False, False, True]
    assert [universe.left("BACK", at(day)) for day in ("2020-06-01", "2022-01-01", "2024-01-01")] == [
        False, True, False,
    ]  # fmt: skip
    assert not universe.left("NEW", at("2024-02-28"))
    assert universe.expected(at("2024-02-15"), {}, []) == {"BACK"}
    assert universe.expected(at("2024-03-01"), {}, []) == {"BACK", "NEW"}
    assert universe.expected(at("2019-01-01"), {}, []) == frozenset()
    assert universe.size == 2
    assert universe.changes
    assert not universe.ever("ELSE")
    assert not universe.member("ELSE", at("2024-03-01"))


def test_membership_equals_pandas_intervals(history):
    rows, expected = ["symbol,from,to"], {}
    chance = random.Random(3)
    for number in range(40):
        days = sorted(chance.sample(range(20_000, 20_100), 4))
        periods = [(days[0], days[1]), (days[2], days[3])]
        expected[f"S{number}"] = pd.IntervalIndex.from_tuples([(a * DAY, b * DAY) for a, b in periods], closed="left")
        lines = [f"S{number},{pd.Timestamp(a, unit='D').date()},{pd.Timestamp(b, unit='D').date()}" for a, b in periods]
        rows += chance.sample(lines, 2)
    universe = universe_of("demo", strategy(history("\n".join(rows))))
    for time in range(19_999 * DAY, 20_102 * DAY, DAY // 2):
        members = {symbol for symbol, intervals in expected.items() if intervals.contains(time).any()}
        assert universe.expected(time, {}, []) == members
        assert {symbol for symbol in expected if universe.member(symbol, time)} == members
        gone = {symbol for symbol, intervals in expected.items() if intervals.right.min() <= time} - members
        assert {symbol for symbol in expected if universe.left(symbol, time)} == gone


def test_a_list_and_a_file_are_the_same_universe(tmp_path):
    path = tmp_path / "symbols.txt"
    path.write_text("# the two\nXOM\n\n  AAPL  \n")
    settings = {"signal": {"signal.ranking": {"top_n": 1, "bottom_n": 1}}}
    one = ready_strategy("demo", strategy({"file": path}, **settings))
    other = ready_strategy("demo", strategy(["AAPL", "XOM"], **settings))
    assert one.config["universe"] == ["AAPL", "XOM"]
    assert one.config_hash == other.config_hash
    assert one.universe.member("XOM", 1)
    assert one.universe.expected(1, {}, []) == {"AAPL", "XOM"}


def test_the_configuration_hash_stands_for_the_history_and_not_for_the_file(history, tmp_path):
    settings = {"signal": {"signal.ranking": {"top_n": 1, "bottom_n": 0}}}
    given = history("symbol,from,to\nA,2020-01-01,2021-01-01\nB,2020-01-01,\n")
    first = ready_strategy("demo", strategy(given, **settings))
    elsewhere = tmp_path / "other.csv"
    elsewhere.write_text("to,symbol,from\n,B,2020-01-01T00:00:00+00:00\n2021-01-01,A,2020-01-01\n")
    assert ready_strategy("demo", strategy({"history": elsewhere}, **settings)).config_hash == first.config_hash
    elsewhere.write_text("symbol,from,to\nA,2020-01-01,2021-01-02\nB,2020-01-01,\n")
    assert ready_strategy("demo", strategy({"history": elsewhere}, **settings)).config_hash != first.config_hash


def test_a_rule_expects_who_came_lately():
    universe = universe_of("demo", strategy({"rule": {"match": "US.*", "active_bars": 2}}))
    assert universe.ever("US.A")
    assert not universe.ever("DE.A")
    assert not universe.ever("us.A")
    last = {"US.A": 30, "US.B": 20, "US.C": 10, "DE.A": 30}
    assert universe.expected(40, last, []) is None
    assert universe.expected(40, last, [10, 20, 30]) == {"US.A", "US.B"}
    assert universe.size is None
    assert universe.symbols is None


def test_every_symbol_is_a_rule_too_and_grace_and_activity_are_no_other_configuration():
    every = ready_strategy("demo", strategy("*"))
    assert every.config["universe"] == "*"
    for same in (strategy({"rule": {"active_bars": 9}}), strategy("*", cross_section={"grace": 0.5})):
        assert ready_strategy("demo", same).config_hash == every.config_hash
    match = ready_strategy("demo", strategy({"rule": {"match": "US.*"}})).config["universe"]
    assert universe_of("demo", strategy(match)).rule.match == "US.*"  # it can be read back


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "names nothing; write symbol,from,to in its first line"),
        ("symbol,from,to\n", "names no symbols; write rows"),
        ("symbol,since\nA,2020-01-01\n", "names symbol,since; write symbol,from,to"),
        ("symbol,from,to\nA,2020-13-01,\n", "members.csv:2: from '2020-13-01' is no date; write it as 2024-01-31"),
        ("symbol,from,to\nA,,\n", "members.csv:2: from '' is no date"),
        ("symbol,from,to\nA,2020-01-01,soon\n", "members.csv:2: to 'soon' is no date"),
        ("symbol,from,to\nA,2020-01-02,2020-01-02\n", "members.csv:2: A is a member from 2020-01-02 to 2020-01-02"),
        ("symbol,from,to\nA,1950-01-02,\n", "members.csv:2: from 1950-01-02 is not between 1970 and 9999"),
        ("symbol,from,to\nA B,2020-01-02,\n", "members.csv:2: 'A B' is not a symbol"),
        ("symbol,from,to\nA,2020-01-02\n", "members.csv:2: 2 fields instead of 3"),
        (
            "symbol,from,to\nA,2020-01-01,2020-03-01\nB,2020-01-01,\nA,2020-02-01,\n",
            "members.csv:4: A is a member already by line 2; they overlap",
        ),
    ],
)
def test_what_is_wrong_with_a_history(history, text, fault):
    with pytest.raises(ConfigurationError) as caught:
        universe_of("demo", strategy(history(text)))
    assert str(caught.value).startswith("strategies.demo.universe: ")
    assert fault in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "names no symbols; write one a line"),
        (b"# none\n", "names no symbols; write one a line"),
        (b"A\nB\nA\n", "symbols.txt:3: A is there twice; see line 1"),
        (b"A\nB C\n", "symbols.txt:2: 'B C' is not a symbol"),
        (b"\xff\xfe", "is no text in UTF-8"),
    ],
)
def test_what_is_wrong_with_a_file(tmp_path, content, fault):
    path = tmp_path / "symbols.txt"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"strategies\.demo\.universe: ") as caught:
        universe_of("demo", strategy({"file": path}))
    assert fault in str(caught.value)
    with pytest.raises(ConfigurationError, match=r"cannot read .*: No such file"):
        universe_of("demo", strategy({"file": tmp_path / "none.txt"}))


@pytest.mark.parametrize(
    ("universe", "fault"),
    [
        (7, 'write a list of symbols, "*", {file: PATH}, {rule: {match: GLOB}} or {history: PATH}'),
        ("AAPL", "write a list of symbols"),
        ([], 'the universe is empty; name symbols, or write "*"'),
        (["A", "B", "A"], "the universe names a symbol twice: A"),
        (["A", "B C"], "'B C' is not a symbol"),
        ({"file": "a", "rule": {}}, "give one of file, history and rule"),
        ({"rule": {"active_bars": 0}}, "greater than or equal to 1"),
    ],
)
def test_what_is_wrong_with_a_universe(universe, fault):
    with pytest.raises(ValidationError) as caught:
        Config(strategies={"demo": {**strategy("*").model_dump(), "universe": universe}})
    assert fault in str(caught.value)


@pytest.mark.parametrize(
    ("signal", "fault"),
    [
        ({"signal.ranking": {"top_n": 2}}, "top_n 2 and bottom_n 5 need 7 symbols, and the universe has 3"),
        ({"signal.portfolio": {"max_weight": 0.2}}, "need 6 symbols, and the universe has 3; raise max_weight"),
    ],
)
def test_a_universe_too_small_for_the_signal_fails_at_start(signal, fault, history):
    rows = ["symbol,from,to", *(f"{s},2020-01-01," for s in "ABC"), "D,2010-01-01,2011-01-01"]
    for universe in (["A", "B", "C"], history("\n".join(rows))):
        with pytest.raises(ConfigurationError, match=f"strategies.demo.signal: signal.[a-z]+: .*{fault}"):
            ready_strategy("demo", strategy(universe, signal=signal))
    ready_strategy("demo", strategy("*", signal=signal))


def test_membership_ends_and_begins_at_one_moment(history):
    universe = universe_of(
        "demo", strategy(history("symbol,from,to\nA,2020-01-01,2021-01-01\nA,2021-01-01,2022-01-01"))
    )
    assert universe.member("A", at("2021-01-01"))
    assert universe.expected(at("2021-01-01"), {}, []) == {"A"}
    assert Universe.of(["A"]).expected(0, {}, []) == {"A"}
