"""The checks of features of the cross-section."""

import time

import numpy as np
import pandas as pd

from plugins.base import Plugin
from plugins.checks.features.feature_checks import judged
from plugins.checks.findings.outcome import Failed
from plugins.checks.parameters import refused
from plugins.checks.process import outside
from plugins.checks.sections.subject import SectionSubject, differs, times
from plugins.cross_sectional import SectionFeature
from schemas.canonical import sha256_hex

EDGES = {
    "one symbol": [7.5],
    "two symbols": [1.0, 2.0],
    "two equal values": [0.1, 0.1],
    "equal values": [0.1] * 7,
    "zeros of both signs": [0.0, -0.0, 0.0],
    "huge values": [-1.7e308, 1.7e308, 1.0],
    "tiny values": [5e-324, 0.0, -5e-324],
    "one far from the others": [1e15, 1.0, 2.0, 3.0],
}
LARGE = 2_000


def reads_its_input_alone(subject: SectionSubject) -> str:
    """Files, network, programs and clocks were watched while it was created and while it computed."""
    return outside.only_input(lambda: subject.new().section(subject.times[0].copy()), subject.cls)


def computes(subject: SectionSubject) -> str:
    """It computed the cross-sections of forty times."""
    known = sum(int(np.isfinite(found).sum()) for found in subject.baseline)
    if not known:
        raise Failed("it knows nothing of any of them", "return a finite number where there is one")
    return f"{known} values of {sum(map(len, subject.baseline))} are known"


def input_untouched(subject: SectionSubject) -> str:
    """The values that `section` was given were compared with a copy of them afterwards."""
    for values in subject.times:
        given = values.copy()
        subject.new().section(given)
        if not np.array_equal(given, values):
            raise Failed("section changed the values that it was given", "work on values.copy()")
    return "the values are as they were"


def repeatable(subject: SectionSubject) -> str:
    """Computed twice by new instances, and once in a process with another hash seed: the bytes were compared."""
    again = [subject.section(values) for values in subject.times]
    if any(one.tobytes() != other.tobytes() for one, other in zip(subject.baseline, again, strict=True)):
        raise Failed(
            "the second time it gave something else", "no clock, no unseeded random numbers, no order of a set"
        )
    return f"SHA-256 {sha256_hex(b''.join(found.tobytes() for found in again))[:16]}"


def row_order(subject: SectionSubject) -> str:
    """The symbols of each time were put into another order: each must get the same value."""
    random = np.random.default_rng(4)
    for values, found in zip(subject.times, subject.baseline, strict=True):
        order = random.permutation(len(values))
        if deviation := differs(found[order], subject.section(values[order], "values in another order")):
            raise Failed(
                f"with the symbols of a time in another order {deviation}",
                "look at the values alone, not at their places; equal values get equal results",
            )
    return f"{len(subject.times)} times: the same values in any order"


def other_times(subject: SectionSubject) -> str:
    """Other times came before each, in other orders: a worker that has just started has seen none of them."""
    used = subject.new()
    for values in times(3):
        subject.section(values, plugin=used)
    for place in (*range(len(subject.times)), *reversed(range(len(subject.times)))):
        found = subject.section(subject.times[place], plugin=used)
        if found.tobytes() != subject.baseline[place].tobytes():
            raise Failed(
                f"after other times, {differs(subject.baseline[place], found) or 'the last bits are others'}",
                "keep nothing on the instance: a cross-section is all that it may know",
            )
    return f"{2 * len(subject.times)} times after others: as if alone"


def edge_cases(subject: SectionSubject) -> str:
    """One symbol, equal, huge and tiny values: no exception, a number or NaN for each, and equal ones for equal."""
    for what, given in EDGES.items():
        values = np.array(given)
        with np.errstate(all="ignore"):
            found = subject.section(values, what)
        if np.isinf(found).any():
            raise Failed(f"for {what} it is infinite", "return NaN where there is no number")
        if len(set(given)) == 1 and len(given) > 1 and (deviation := differs(found, np.full(len(found), found[0]))):
            raise Failed(f"for {what} {deviation}", "equal values get equal results")
    return f"{len(EDGES)} cases: {', '.join(EDGES)}"


def batch_equals_live(subject: SectionSubject) -> str:
    """`compute` over a frame of all times was compared with `section` of each, as a worker asks for it."""
    sizes = [len(values) for values in subject.times]
    at = pd.date_range("2024-01-02", periods=len(sizes), tz="UTC").repeat(sizes)
    names = [f"S{number:02}" for size in sizes for number in range(size)]
    index = pd.MultiIndex.from_arrays([names, at], names=["symbol", "time"])
    plugin = subject.new()
    frame = pd.DataFrame({plugin.column: np.concatenate(subject.times)}, index=index)
    found = plugin.compute(frame.iloc[::-1])
    if list(found.columns) != list(plugin.outputs) or not found.index.equals(index[::-1]):
        raise Failed("compute returned other rows or columns", "leave `compute` to SectionFeature, define `section`")
    wanted = np.where(np.isfinite(all_of_it := np.concatenate(subject.baseline)), all_of_it, np.nan)
    if deviation := differs(wanted, found.iloc[::-1, 0].to_numpy(np.float64)):
        raise Failed(f"over a frame {deviation}", "leave `compute` to SectionFeature, define `section`")
    return f"{len(frame)} values of {len(sizes)} times: the same"


def parameters(subject: SectionSubject) -> str:
    """Values outside the declared limits, of another type, and an unknown name were tried."""

    def use(plugin: Plugin) -> None:
        assert isinstance(plugin, SectionFeature)
        for values in subject.times[:5]:
            subject.section(values, plugin=plugin)

    return refused(subject.cls, subject.params, use)


def speed(subject: SectionSubject) -> str:
    """The time of a symbol in a cross-section of two thousand was measured."""
    plugin, values = subject.new(), np.random.default_rng(2).normal(size=LARGE)
    spent = []
    for _ in range(10):
        begin = time.process_time()
        plugin.section(values.copy())
        spent.append(time.process_time() - begin)
    return judged(plugin.cost, 1e6 * min(spent) / LARGE, "symbol")
