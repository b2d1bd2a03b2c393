"""The grammar of expressions over columns: what is written becomes a program for a stack, or one line with the place.

    comparison  := sum [("<" | "<=" | ">" | ">=" | "==" | "!=") sum]
    sum         := product (("+" | "-") product)*
    product     := sign (("*" | "/") sign)*
    sign        := ("-" | "+") sign | value
    value       := number | column | "`" any column "`" | "(" comparison ")"
                   | function "(" comparison ("," comparison)* ")"

>>> parsed("rsi / rsi.lag1 - 1").columns
('rsi', 'rsi.lag1')
>>> parsed("rsi / sqrt(2)")
Traceback (most recent call last):
schemas.errors.ConfigurationError: character 7: there is no function sqrt; there are min, max, abs, log, where
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from schemas.errors import ConfigurationError

CONSTANT, COLUMN = 0, 1
SIGNS = {"+": 2, "-": 3, "*": 4, "/": 5, "<": 6, "<=": 7, ">": 8, ">=": 9, "==": 10, "!=": 11}
NEGATIVE = 12
FUNCTIONS = {"min": 13, "max": 14, "abs": 15, "log": 16, "where": 17}
ARGUMENTS = {"abs": 1, "log": 1, "where": 3}
"""Of those that take a number of them; the others two or more."""
LONGEST, DEEPEST = 2_000, 50
TOKEN = re.compile(
    r"(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z_]\w*(?:\.\w+)*)|`(?P<quoted>[^`]+)`"
    r"|(?P<sign><=|>=|==|!=|[-+*/<>(),])",
    re.ASCII,
)


Rule = Callable[[], bool]


class Token(NamedTuple):
    kind: str
    text: str
    place: int
    """Number of its first character, from 1."""


@dataclass
class Program:
    """For a stack: what to do, with which constant or column; `places` of the columns' first mention."""

    steps: list[tuple[int, int]] = field(default_factory=list)
    constants: list[float] = field(default_factory=list)
    divisors: list[tuple[int, int, int]] = field(default_factory=list)
    """Constants that something is divided by: the character, and from which step to which they are made."""
    places: dict[str, int] = field(default_factory=dict)

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(self.places)


def parsed(text: str) -> Program:
    """`ConfigurationError`, which names the character, for what is no expression over columns."""
    if len(text) > LONGEST:
        raise ConfigurationError(f"{len(text)} characters; an expression has at most {LONGEST}")
    reader = _Reader(_tokens(text), len(text) + 1)
    reader.comparison()
    if reader.next is not None:
        raise _fault(reader.next, f"{reader.next.text!r} cannot stand here")
    if not reader.program.places:
        raise ConfigurationError(f"{text!r} names no column")
    return reader.program


def _fault(token: Token, text: str) -> ConfigurationError:
    return ConfigurationError(f"character {token.place}: {text}")


def _tokens(text: str) -> list[Token]:
    tokens, place = [], 0
    while place < len(text):
        if text[place].isspace():
            place += 1
            continue
        found = TOKEN.match(text, place)
        if found is None:
            raise ConfigurationError(f"character {place + 1}: {text[place]!r} is no part of an expression")
        tokens.append(Token(str(found.lastgroup), str(found[str(found.lastgroup)]), place + 1))
        place = found.end()
    return tokens


class _Reader:
    """Recursive descent; each method reads one rule, and says whether it is a constant, and which one."""

    def __init__(self, tokens: list[Token], end: int) -> None:
        self.program = Program()
        self._tokens, self._end, self._depth = tokens[::-1], end, 0

    @property
    def next(self) -> Token | None:
        return self._tokens[-1] if self._tokens else None

    def comparison(self) -> bool:
        self._depth += 1
        if self._depth > DEEPEST:
            raise ConfigurationError(f"more than {DEEPEST} brackets in each other")
        constant = self._chain(("<", "<=", ">", ">=", "==", "!="), self._sum, 1)
        self._depth -= 1
        return constant

    def _sum(self) -> bool:
        return self._chain(("+", "-"), self._product)

    def _product(self) -> bool:
        return self._chain(("*", "/"), self._sign)

    def _chain(self, signs: tuple[str, ...], rule: Rule, most: int = LONGEST) -> bool:
        constant = rule()
        while (token := self.next) is not None and token.kind == "sign" and token.text in signs:
            if most == 0:
                raise _fault(token, "a comparison of a comparison; write where(…, …, 0) or brackets")
            self._tokens.pop()
            before = len(self.program.steps)
            right = rule()
            if token.text == "/" and right:
                self.program.divisors.append((token.place, before, len(self.program.steps)))
            self._step(SIGNS[token.text])
            constant, most = constant and right, most - 1
        return constant

    def _sign(self) -> bool:
        token, negative = self.next, False
        while token is not None and token.kind == "sign" and token.text in "+-":
            negative ^= token.text == "-"
            self._tokens.pop()
            token = self.next
        constant = self._one()
        if negative:
            self._step(NEGATIVE)
        return constant

    def _one(self) -> bool:
        if not self._tokens:
            raise ConfigurationError(f"character {self._end}: something is missing at the end")
        token = self._tokens.pop()
        if token.kind == "number":
            if not math.isfinite(value := float(token.text)):
                raise _fault(token, f"{token.text} is larger than a float64 can be")
            self._step(CONSTANT, len(self.program.constants))
            self.program.constants.append(value)
            return True
        if token.text == "(" and token.kind == "sign":
            constant = self.comparison()
            self._expect(")")
            return constant
        if token.kind == "sign":
            raise _fault(token, f"{token.text!r} cannot stand here")
        if token.kind == "name" and self.next is not None and self.next.text == "(":
            return self._call(token)
        self.program.places.setdefault(token.text, token.place)
        self._step(COLUMN, self.program.columns.index(token.text))
        return False

    def _call(self, token: Token) -> bool:
        if token.text not in FUNCTIONS:
            raise _fault(token, f"there is no function {token.text}; there are {', '.join(FUNCTIONS)}")
        self._expect("(")
        constants = [self.comparison()]
        while self.next is not None and self.next.text == ",":
            self._tokens.pop()
            constants.append(self.comparison())
            if token.text not in ARGUMENTS:
                self._step(FUNCTIONS[token.text])
        self._expect(")")
        wanted = ARGUMENTS.get(token.text)
        if len(constants) < 2 if wanted is None else len(constants) != wanted:
            raise _fault(token, f"{token.text} takes {wanted or 'two or more'} arguments, and has {len(constants)}")
        if wanted is not None:
            self._step(FUNCTIONS[token.text])
        return all(constants)

    def _expect(self, sign: str) -> None:
        token = self._tokens.pop() if self._tokens else Token("sign", "the end", self._end)
        if token.text != sign:
            raise _fault(token, f"{sign!r} is missing before {token.text!r}")

    def _step(self, code: int, number: int = 0) -> None:
        self.program.steps.append((code, number))
