"""What a further strategy costs a worker, and what a bar costs that comes alone.

From the arrays of a chunk to the bytes in a batch, in one process, by its processor's time; medians of rounds in each
of which all are measured. 500 symbols, four features, 200 trees, a threshold. The yardstick is as many pipelines with
one strategy each, which can share nothing.
"""

import statistics
from collections import defaultdict

from benchmarks.in_memory import InMemory, Trained, strategy, trained

COUNTS = (1, 5, 20, 50, 200)
ROUNDS, LARGEST = 5, 200_000
FURTHER, ALONE = 1.2, 40.0
"""Targets, µs."""
KINDS = {
    "equal features and model": lambda number, models: strategy(number, models[0]),
    "equal features, own model": lambda number, models: strategy(number, models[number % len(models)]),
    "own features, no model": lambda number, models: strategy(number, None, own_features(number)),
}


def own_features(number: int) -> list[object]:
    return [
        "technical.rsi",
        {"technical.rsi": {"period": 20 + number, "as": "slow"}},
        {"technical.atr": {"period": 20 + number}},
        {"statistical.momentum": {"window": 10 + number % 10, "as": f"m{number}"}},
    ]


def table(kind: str, models: list[Trained], counts: tuple[int, ...]) -> None:
    make = KINDS[kind]
    held = {count: InMemory([make(number, models) for number in range(count)]) for count in counts}
    costs: dict[int, list[float]] = defaultdict(list)
    for _ in range(ROUNDS):
        for count, pipeline in held.items():
            costs[count].append(pipeline.cost(max(500, min(2_500, LARGEST // count // 500 * 500))))
    cost = {count: statistics.median(values) for count, values in costs.items()}
    for count in counts:
        note = ""
        if count > 1:
            target = f" (target {FURTHER})" if kind == next(iter(KINDS)) else ""
            note = f", {(cost[count] - cost[1]) / (count - 1):.2f} µs a further one{target}"
        ratio = cost[count] / (count * cost[1])
        print(f"strategies  {kind:<26} {count:4} {cost[count]:8.2f} µs a bar, {ratio:5.2f} of each alone{note}")


def alone(models: list[Trained]) -> None:
    held = {count: InMemory([strategy(number, models[0]) for number in range(count)]) for count in (1, 5, 20)}
    chunk = InMemory([strategy(0, models[0])])
    costs: dict[int, list[float]] = defaultdict(list)
    for _ in range(ROUNDS):
        costs[0].append(chunk.cost(2_500))
        for count, pipeline in held.items():
            costs[count].append(pipeline.cost(1_000 // count, 1))
    one = statistics.median(costs[0])
    for count in held:
        cost = statistics.median(costs[count])
        target = f" (target {ALONE:.0f})" if count == 1 else ""
        note = f"µs{target}, as {cost / one:.1f} bars among 500"
        print(f"strategies  one bar in a chunk         {count:4} {cost:8.2f} {note}")


def main(_engine: str = "") -> None:
    models = [trained(seed=seed) for seed in range(1, 6)]
    table("equal features and model", models, COUNTS)
    table("equal features, own model", models, (1, 5))
    table("own features, no model", models, (1, 5, 20, 50))
    alone(models)


if __name__ == "__main__":
    main()
