"""The forms in which a configuration names a universe."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from schemas.wire import is_symbol, not_a_symbol

ACTIVE_BARS = 5


class Rule(BaseModel):
    """Every symbol that `match` fits; expected are those that reported in one of the last `active_bars`
    cross-sections.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    match: str = Field("*", min_length=1, description="with * for any text and ? for one character")
    active_bars: int = Field(ACTIVE_BARS, ge=1, le=1_000)


class Given(BaseModel):
    """A universe that lies in a file, or follows a rule."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: Path | None = Field(None, description="text, one symbol a line")
    history: Path | None = Field(None, description="CSV of symbol, from, to: who was a member when")
    rule: Rule | None = None

    @model_validator(mode="after")
    def _one(self) -> "Given":
        if sum(each is not None for each in (self.file, self.history, self.rule)) != 1:
            raise ValueError("give one of file, history and rule")
        return self


def _symbols(symbols: list[str]) -> list[str]:
    if not symbols:
        raise ValueError('the universe is empty; name symbols, or write "*" for every one that comes')
    if twice := sorted({symbol for symbol in symbols if symbols.count(symbol) > 1}):
        raise ValueError(f"the universe names a symbol twice: {', '.join(twice[:5])}")
    if bad := [symbol for symbol in symbols if not is_symbol(symbol)]:
        raise ValueError(not_a_symbol(bad[0]))
    return symbols


def _form(value: Any) -> str | None:
    """The tag of a value; errors do not show it."""
    if isinstance(value, list):
        return "<list>"
    if value == "*":
        return "<every>"
    return "<given>" if isinstance(value, dict | Given) else None


UniverseSetting = Annotated[
    Annotated[list[str], AfterValidator(_symbols), Tag("<list>")]
    | Annotated[Literal["*"], Tag("<every>")]
    | Annotated[Given, Tag("<given>")],
    Discriminator(
        _form,
        custom_error_type="universe",
        custom_error_message=('write a list of symbols, "*", {file: PATH}, {rule: {match: GLOB}} or {history: PATH}'),
    ),
]
