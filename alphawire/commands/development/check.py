"""``alphawire check``: the conformance kit."""

import tempfile
from dataclasses import replace
from pathlib import Path

import click

from alphawire.commands.options import config_option, json_option, plugins_option, print_json
from alphawire.commands.progress import counted
from plugins.base.loading.discovery import faults
from plugins.base.loading.listing import entries
from plugins.checks import Finding, Report, Session, Target, target_of, targets_of_file
from plugins.checks.catalogue import CATALOGUE
from schemas.configuration import Config
from schemas.errors import ConfigurationError
from schemas.wire import PluginEntry, bar_length, canonical_interval


@click.command(
    help="Checks plugins: no look-ahead, batch equals live, restart, declared facts and more. KEY: a plugin, or a "
    "file of them. Exit code 1 when a check fails."
)
@click.argument("keys", nargs=-1, metavar="[KEY|FILE.py]...")
@click.option("--all", "everything", is_flag=True, help="every plugin that is registered, but for those of ta")
@click.option("--deadline", type=click.FloatRange(min=1), default=90.0, show_default=True, help="seconds for one check")
@click.option(
    "--interval", metavar="1m|1h|1d|…",
    help="check features on bars of this interval; by default on those of the strategies that use them, else on daily"
    " bars",
)  # fmt: skip
@click.option(
    "--bars", metavar="FILE", help="check features on these: of the symbol that has most; CSV or Parquet, of --interval"
)
@config_option
@json_option
@plugins_option
@click.pass_context
def command(
    ctx: click.Context,
    keys: tuple[str, ...],
    everything: bool,
    deadline: float,
    interval: str | None,
    bars: str | None,
    config: Config,
    as_json: bool,
) -> None:
    if everything == bool(keys):
        raise ConfigurationError("name plugins or files to check, or give --all")
    missing = [entry for entry in entries() if not entry.available]
    targets = _all(missing) if everything else [target for key in keys for target in _named(key, missing)]
    with tempfile.TemporaryDirectory() as folder:
        file = _given(bars, interval, Path(folder)) if bars else None
        targets = [one for target in targets for one in _on(target, interval, file, config)]
        reports = _check(targets, deadline)
    if as_json:
        print_json({"reports": [report.as_dict() for report in reports]}, indent=2)
    else:
        _print(reports)
    for entry in missing if everything else []:
        click.echo(f"{entry.key}: not checked, a library is missing: {entry.install}", err=True)
    for fault in faults:
        click.echo(f"faulty plugin {fault}", err=True)
    ctx.exit(0 if all(report.passed for report in reports) and not (everything and faults) else 1)


def _on(target: Target, interval: str | None, bars: str | None, config: Config) -> list[Target]:
    """The target on each kind of bars that it is to be checked on: those named, else those of its strategies."""
    if target.category != "features":
        return [target]
    used = {
        canonical_interval(strategy.interval)
        for strategy in config.strategies.values()
        if any(use.key == target.key for use in strategy.features)
    }
    wanted = [canonical_interval(interval)] if interval else sorted(used, key=lambda each: (bar_length(each), each))
    return [replace(target, interval=each, bars=bars) for each in wanted] or [target]


def _given(bars: str, interval: str | None, folder: Path) -> str:
    """The bars of one symbol of a file, as the kit reads them."""
    from streams.ingest.bar_files import read_bars

    if interval is None:
        raise ConfigurationError("--bars needs their --interval, such as 1m")
    frame = read_bars([bars], interval)
    mine = frame[frame["symbol"] == frame["symbol"].value_counts().idxmax()]
    times = mine["close_time"].to_numpy().astype("datetime64[ms]")
    path = folder / "bars.parquet"
    mine.assign(time=times).reset_index(drop=True).to_parquet(path)
    return str(path)


FAMILY = "ta."
"""Too many functions, all of a few kinds, for a check of everything; docs/talib.md says what was checked."""


def _all(missing: list[PluginEntry]) -> list[Target]:
    absent = {(entry.category, entry.key) for entry in missing}
    return [
        target_of(entry.key, category=entry.category)
        for entry in entries()
        if (entry.category, entry.key) not in absent and not entry.key.startswith(FAMILY)
    ]


def _named(key: str, missing: list[PluginEntry]) -> list[Target]:
    if key.endswith(".py"):
        return targets_of_file(Path(key))
    for entry in missing:
        if entry.key == key:
            raise ConfigurationError(f"{key} cannot be checked, a library is missing: {entry.install}")
    return [target_of(key)]


def _check(targets: list[Target], deadline: float) -> list[Report]:
    total = sum(len(CATALOGUE[target.category]) for target in targets)
    reports = []
    with counted("checks", total) as advance, Session(deadline) as session:

        def heard(_finding: Finding) -> None:
            advance(1)

        for target in targets:
            reports.append(session.check(target, heard))
    return reports


def _print(reports: list[Report]) -> None:
    for report in reports:
        click.echo(f"{report} ({report.seconds:.1f} s)" if report.passed else str(report))
