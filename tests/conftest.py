"""Brokers for the tests: one of each kind for the whole session, shared by all tests through prefixes of their own."""

import gc
import itertools
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.configuration import Kafka
from streams.kafka.brokers import ApacheKafkaBroker, Broker, TansuBroker
from tests.support import told
from tests.support.costs import Cost, slowest
from tests.support.deadlines import deadline
from tests.support.live import patient_clients
from tests.support.run_order import ByFile, in_turn

KAFKA_FOR_TESTS = {"group.min.session.timeout.ms": "1000", "group.initial.rebalance.delay.ms": "0"}

collect_ignore = ["support/mydesk_package", "mutation"]
"""It is installed by its test; its module would register itself in this process."""

_numbers = itertools.count(1)

# Threads of OpenMP (LightGBM, PyTorch, scikit-learn) sleep while they wait for each other: on a busy machine, they
# otherwise spend most of what the tests of models cost, waiting for one that is not running.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# Nothing that is imported becomes garbage, and looking for it is two fifths of the collection: 4 s in each process.
gc.disable()
patient_clients()
for _kind in (TansuBroker, ApacheKafkaBroker):
    _kind.start_timeout = deadline(_kind.start_timeout)

# nohup and background jobs leave these ignored, and the programs that tests start and interrupt would inherit that
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session")
def tansu() -> Iterator[TansuBroker]:
    """The embedded broker."""
    with TansuBroker() as broker:
        yield broker


@pytest.fixture(scope="session")
def java() -> None:
    """What Apache Kafka needs is here: Java and Maven. Otherwise the test is skipped, but fails in CI."""
    missing = [name for name in ("java", "mvn") if shutil.which(name) is None]
    if missing:
        reason = f"Apache Kafka needs {' and '.join(missing)}, which this machine lacks"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def kafka(java: None) -> Iterator[ApacheKafkaBroker]:
    """Apache Kafka."""
    with ApacheKafkaBroker(properties=KAFKA_FOR_TESTS) as broker:
        yield broker


@pytest.fixture(params=["tansu", pytest.param("kafka", marks=pytest.mark.kafka)])
def broker(request: pytest.FixtureRequest) -> Broker:
    """Each of the two in turn; a test that takes it runs twice."""
    found: Broker = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def kafka_config() -> Callable[..., Kafka]:
    """``kafka_config(broker, partitions=3, …)``: settings with a topic prefix and a group that no other test has."""

    def make(broker: Broker, **settings: Any) -> Kafka:
        name = f"test{os.getpid()}x{next(_numbers)}"
        return Kafka(bootstrap=broker.bootstrap, **{"prefix": f"{name}.", "group": name, **settings})

    return make


def pytest_collection_finish() -> None:
    """Python's garbage collector looks at what the tests make, not at all the libraries."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What asks for a broker is marked so: ``-m "not broker"`` leaves the quick ones."""
    for item in items:
        used = set(getattr(item, "fixturenames", ()))
        if used & {"tansu", "kafka", "broker"}:
            item.add_marker(pytest.mark.broker)
        if used & {"kafka", "java"}:
            item.add_marker(pytest.mark.kafka)
    items[:] = in_turn(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """For ``--dist loadfile``, of which it is a better one."""
    if config.getvalue("dist") != "loadfile":
        return None
    return ByFile(config, log)


_costs: dict[str, tuple[float, float]] = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Each test with its fixtures is measured, and pytest's report takes the figures to the process that prints."""
    cost = Cost()
    result = yield
    _costs[item.nodeid] = cost.spent()
    return result


def pytest_sessionfinish(session: pytest.Session) -> None:
    """One of several processes (``-n``) hands what it has to tell to the one that prints."""
    # clients that tests left are closed here: within the import that hypothesis does for its summary that ends Python
    # 3.11 with "AST constructor recursion depth mismatch" (seen)
    gc.collect()
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output["told"] = told.told()
        output["costs"] = _costs


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    output = getattr(node, "workeroutput", {})
    told.hear(*output.get("told", ([], {})))
    _costs.update(output.get("costs", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if told.ROWS:
        terminalreporter.section("conformance: clean and faulty plugins")
        for row in told.ROWS:
            terminalreporter.write_line(row)
    if told.TRIED:
        parts = ", ".join(f"{name} {count:,}" for name, count in sorted(told.TRIED.items()))
        terminalreporter.write_line(f"fuzzed decoders: {told.TRIED.total():,} inputs ({parts})")
    if file := os.environ.get("TEST_COSTS"):
        Path(file).write_text(json.dumps(_costs, indent=1))
    if lines := slowest(_costs):
        terminalreporter.section("slowest tests")
        for line in lines:
            terminalreporter.write_line(line)
