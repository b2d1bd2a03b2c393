"""The mutants of a module, by the operators of cosmic-ray."""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

from tests.mutation.targets import ROOT

WITHOUT = {"core/RemoveDecorator", "core/VariableReplacer", "core/VariableInserter"}
"""Decorators here register or compile, which changes no result; the other two ask for names to be given."""


@dataclass(frozen=True)
class Mutant:
    module: Path
    operator: str
    line: int
    before: str
    after: str
    source: str

    @property
    def name(self) -> str:
        return f"{self.module.relative_to(ROOT)}:{self.line}: {self.before}  →  {self.after}"


def mutants_of(module: Path) -> Iterator[Mutant]:
    """Each change of one place that leaves a module which compiles; annotations are left alone."""
    source = module.read_text()
    nodes = list(ast_nodes(get_ast(source)))
    seen = set()
    for operator_name in sorted(set(operator_names()) - WITHOUT):
        kind = get_operator(operator_name)
        places = [(node, place) for node in nodes for place in kind().mutation_positions(node)]
        for occurrence, (node, _) in enumerate(places):
            if _annotates(node):
                continue
            mutated = mutate_code(source, kind(), occurrence)
            if mutated and mutated not in seen and _compiles(mutated, module):
                seen.add(mutated)
                yield Mutant(module, operator_name, *_change(source, mutated), mutated)


def _annotates(node: Any) -> bool:
    """Is it part of an annotation?"""
    child, parent = node, node.parent
    while parent is not None:
        kind = parent.type
        if kind in ("tfpdef", "annassign") and parent.children.index(child) >= 1:
            return kind == "tfpdef" or parent.children.index(child) == 1
        if kind == "funcdef" and parent.annotation is child:
            return True
        child, parent = parent, parent.parent
    return False


def _compiles(source: str, module: Path) -> bool:
    try:
        compile(source, str(module), "exec")
    except SyntaxError:
        return False
    return True


def _change(before: str, after: str) -> tuple[int, str, str]:
    """Line number and the first line that differs, in both."""
    old, new = before.splitlines(), after.splitlines()
    for tag, start, end, new_start, new_end in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag != "equal":
            return start + 1, _joined(old[start:end]), _joined(new[new_start:new_end])
    raise ValueError("nothing differs")


def _joined(lines: list[str]) -> str:
    return " ".join(line.strip() for line in lines)
