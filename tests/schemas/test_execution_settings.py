"""The section `execution`: lots for all symbols or by symbol."""

import json

import pytest

from schemas.configuration import Execution


def test_a_lot_for_all_stays_a_number() -> None:
    """The hash of a configuration stands on it."""
    assert json.loads(Execution(lot=1).model_dump_json())["lot"] == 1.0
    assert Execution().model_dump()["lot"] == 1e-4
    assert Execution(lot=0.5).lot_of("A") == 0.5


def test_lots_by_symbol() -> None:
    execution = Execution(lot={"default": 1, "SHIB": 1000})
    assert [execution.lot_of(name) for name in ("SHIB", "SPY")] == [1000.0, 1.0]
    assert Execution(lot={"SHIB": 1000}).lot_of("SPY") == 1e-4


@pytest.mark.parametrize(
    ("lot", "said"),
    [
        (0, "lot\n  Input should be greater than 0"),
        ("much", "lot\n  Input should be a valid number"),
        ({"SHIB": 0}, r"SHIB\n  Input should be greater than 0"),
        ({"a b\u200b": 1}, "is not a symbol"),
        ([1.0], "lot\n  Input should be a valid number"),
    ],
)
def test_lots_that_are_none(lot: object, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("lot\n", r"lot\S*\n")):
        Execution(lot=lot)  # type: ignore[arg-type]
