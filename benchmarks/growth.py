"""What a bar costs as there is more of everything: strategies, features, trees, partitions, symbols in memory.

As `strategies` measures it. Each curve's last column is the cost of one more (strategy, feature, tree) between a row
and the one before: where it changes, the curve bends. Symbols are measured in a process each, for their memory.
"""

import gc
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence

from benchmarks.in_memory import CHUNK, InMemory, strategy, trained
from plugins.strategy.ready import ReadyStrategy

ROUNDS = 3
KINDS = ("technical.rsi", "technical.atr", "statistical.momentum", "statistical.mean_reversion")
PERIODS = {"technical.rsi": "period", "technical.atr": "period"}


def features(count: int) -> list[object]:
    """Of four kinds in turn, no two alike, with windows of 10 to 19 bars, or Wilder's means."""
    found: list[object] = ["technical.rsi"]
    for number in range(1, count):
        kind, round_ = KINDS[number % 4], number // 4
        length = 20 + round_ if kind in PERIODS else 10 + round_ % 10
        column = ["close", "open", "high", "low", "volume"][round_ // 10]
        if kind == "statistical.mean_reversion" and column != "close":
            kind = "statistical.z_score"
        params: dict[str, object] = {PERIODS.get(kind, "window"): length, "as": f"f{number}"}
        if kind in ("statistical.momentum", "statistical.z_score"):
            params["column"] = column
        found.append({kind: params})
    return found


def cost(strategies: Sequence[ReadyStrategy], bars: int, symbols: int = CHUNK, warm: int = 60) -> float:
    """Microseconds a bar: the median of rounds."""
    held = InMemory(strategies, symbols, warm)
    return statistics.median(held.cost(bars) for _ in range(ROUNDS))


def curve(name: str, counts: Iterable[int], measured: Callable[[int], float]) -> None:
    before: tuple[int, float] | None = None
    for count in counts:
        gc.collect()
        here = measured(count)
        more = "" if before is None else f"{1000 * (here - before[1]) / (count - before[0]):10.2f} ns one more"
        print(f"growth  {name:<12} {count:6} {here:9.2f} µs a bar {more}", flush=True)
        before = count, here


def partitions(count: int) -> float:
    """Microseconds a bar when 500 symbols lie on so many partitions, and each has its share of 500 bars a chunk."""
    ready, share = [strategy(0, trained())], CHUNK // count
    held = [InMemory(ready, share, 60) for _ in range(min(count, 4))]  # partitions know nothing of each other
    return statistics.median(one.cost(2_000 // share * share, share) for _ in range(ROUNDS) for one in held)


def symbols(count: int) -> None:
    """In a process of its own: its cost, and the memory of states."""
    held = InMemory([strategy(0, trained())], count, 25)
    here = statistics.median(held.cost(5 * CHUNK) for _ in range(ROUNDS))
    arrays = [held.pipeline.groups["1m"].gate, held.pipeline.runs["s0"].book, *held.pipeline.runs["s0"].states]
    state = sum(array.dtype.itemsize for array in arrays)
    taken = sum(array.nbytes for array in arrays) / 1e6
    print(f"growth  {'symbols':<12} {count:6} {here:9.2f} µs a bar {state:6} bytes a state, {taken:8.1f} MB of states")


def main(_engine: str = "") -> None:
    model = trained()
    curve("strategies", (1, 5, 20, 50, 100, 200), lambda n: cost([strategy(i, model) for i in range(n)], CHUNK * 2))
    curve("features", (4, 8, 20, 50, 100, 200), lambda n: cost([strategy(0, None, features(n))], CHUNK * 5))
    curve("trees", (50, 100, 200, 500, 1_000, 2_000), lambda n: cost([strategy(0, trained(n))], CHUNK * 5))
    curve("partitions", (1, 2, 4, 8, 16, 32, 64), partitions)
    for count in (10, 100, 500, 1_000, 5_000, 20_000, 50_000):
        command = [sys.executable, "-m", "benchmarks.growth", str(count)]
        print(subprocess.run(command, capture_output=True, text=True, check=True).stdout, end="", flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        symbols(int(sys.argv[1]))
    else:
        main()
