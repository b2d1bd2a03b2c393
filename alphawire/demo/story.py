"""The demo from beginning to end. Every step shows what it did, and checks that it held."""

import asyncio
import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd

from alphawire.demo.files import (
    SPLIT,
    SPLIT_MS,
    STRATEGY,
    forget_settings,
    log_to,
    prepare_folder,
    shipped_bars,
    write_config,
)
from alphawire.demo.live import RATE, Live
from alphawire.demo.screen import Screen
from alphawire.demo.seen import lines_of
from backtest.engines.backtest import check_engines
from schemas.configuration import Config
from schemas.errors import AlphawireError

ENGINE = "ledger"
FILES = {
    "backtest/report.html": "the backtest, for a browser",
    "backtest/metrics.json": "its figures; trades and equity are beside it",
    "live.jsonl": "the contents of the signals, as they came live",
    "replay.jsonl": "the same from the replay: cmp finds no difference",
    "plugins.json": "the plugins, from their topic",
    "model/manifest.json": "what the model was trained on",
    "alphawire.yaml": "the configuration",
    "worker.log": "what the workers logged",
    "demo.log": "what the demo itself was warned of",
    "summary.json": "this table, for programs",
}


@dataclass
class Story:
    """One run of the demo; its files go to `folder`."""

    folder: Path
    screen: Screen
    figures: dict[str, Any] = field(default_factory=dict)

    def run(self) -> bool:
        """Runs every step; true when all of them held. Whatever happens, no process of it is left running."""
        began = time.monotonic()
        forget_settings()
        check_engines([ENGINE])
        prepare_folder(self.folder)
        log_to(self.folder / "demo.log")
        with contextlib.suppress(AlphawireError), self._broker() as config:  # its step has shown it
            self._run(config)
        self.figures["seconds"] = round(time.monotonic() - began, 1)
        self._write_summary()
        return not self.screen.faults

    def _run(self, config: Config) -> None:
        history, coming = self._load(config)
        self._train(config)
        live = Live(config, self.folder, coming, self.screen)
        try:
            self._live(live, history)
            self._listing(config)
            signals, bars = self._replay(config, live)
            self._verify(config)
        finally:
            live.kill_worker()
        self._backtest(config, signals, bars)

    @contextlib.contextmanager
    def _broker(self) -> Iterator[Config]:
        from streams.kafka.brokers import start_broker
        from streams.kafka.brokers.probe import port_is_free

        with self.screen.step("broker", "starting the broker") as step:
            broker = start_broker()
            step.result = f"{broker.title}, at {broker.bootstrap}"
        try:
            yield write_config(self.folder, broker.bootstrap)
        finally:
            broker.kill()  # it keeps nothing, and would wait for clients that ctrl-C has cut off
            broker.stop()
        with self.screen.step("end", "") as step:
            step.result = "the broker and the workers are stopped"
            step.check(port_is_free(broker.port), f"port {broker.port} is still in use")

    def _load(self, config: Config) -> tuple[pd.DataFrame, pd.DataFrame]:
        from streams.ingest.produce import produce_bars
        from streams.kafka.topics import create_topics

        with self.screen.step("topics", "creating the topics") as step:
            created = asyncio.run(create_topics(config.kafka)).created
            step.result = f"{len(created)} created, {config.kafka.partitions} partitions for what belongs to a symbol"
        with self.screen.step("load", "loading the bars") as step:
            history, coming = shipped_bars()
            asyncio.run(produce_bars(config.kafka, history))
            step.result = (
                f"{len(history):,} real minute bars of {history['symbol'].nunique()} symbols, 4 to 8 October 2013"
            )
        self.figures |= {"bars_to_train_on": len(history), "bars_live": len(coming)}
        return history, coming

    def _train(self, config: Config) -> None:
        from backtest.sources.bars import topic_bars
        from backtest.training import train
        from backtest.trials.trials import Ledger, trial
        from streams.kafka.log import KafkaLog

        with self.screen.step("train", "reading the topic") as step:
            bars = topic_bars(KafkaLog(config.kafka), config.strategy(STRATEGY).interval)
            step.check(
                bool((bars["close_time"] < SPLIT_MS).all()), f"a bar of {SPLIT:%-d %B} or later is in the training"
            )
            done = train(STRATEGY, config, bars, stage=lambda text, *_: step.stage(text))
            manifest = done.manifest
            span = manifest.training.first_time, manifest.training.last_time
            Ledger(self.folder).add([trial(STRATEGY, "train", manifest.sha256, times=span)])
            step.result = (
                f"{manifest.key} on {manifest.training.rows:,} rows of {len(manifest.columns)} features from the topic"
            )
        self.figures["model"] = {"key": manifest.key, "sha256": manifest.sha256, "rows": manifest.training.rows}

    def _live(self, live: Live, history: pd.DataFrame) -> None:
        with self.screen.step("worker", "starting a worker") as step:
            live.start_worker()
            asyncio.run(live.until_applied())
            step.result = f"process {live.pid} is up and has {len(history):,} bars to warm up with"
        seen, wanted = live.seen, len(live.bars)
        self.screen.line("live", f"{wanted:,} bars of 9 to 11 October, {RATE:.0f} a second")
        with self.screen.step("signals", "") as step:
            asyncio.run(live.run())
            step.result = f"{len(seen.contents):,}, one for every bar; {seen.repeats} came twice, with the same bytes"
            step.check(seen.unequal == 0, f"{seen.unequal} signals came twice with different bytes")
        with self.screen.step("stop", "stopping the worker") as step:
            code = live.stop_worker()
            step.result = "the worker stopped when asked to"
            step.check(code == 0, f"the worker stopped with exit code {code}; see {self.folder / 'worker.log'}")
        self.figures |= {
            "signals": len(seen.contents),
            "decisions": dict(sorted(seen.decisions.items())),
            "kills": live.kills,
            "outage_seconds": round(live.gap, 1),
            "repeats": seen.repeats,
        }

    def _listing(self, config: Config) -> None:
        from plugins.base.loading.discovery import CATEGORIES, discover
        from plugins.base.loading.listing import entries
        from streams.service.listing import read_listing

        with self.screen.step("listing", "reading the topic plugins") as step:
            discover()
            listed = asyncio.run(read_listing(config.kafka))
            counts = {name: sum(entry.category == name for entry in listed.values()) for name in CATEGORIES}
            parts = ", ".join(f"{name} {count}" for name, count in counts.items())
            step.result = f"{len(listed)} plugins: {parts}"
            ours = {f"{entry.category}/{entry.key}": entry for entry in entries()}
            step.check(listed == ours, "the topic does not list the plugins that are here")
        self._write("plugins.json", json.dumps(msgspec.to_builtins(list(listed.values())), indent=2).encode() + b"\n")
        self.figures["plugins"] = len(listed)

    def _replay(self, config: Config, live: Live) -> tuple[pd.DataFrame, pd.DataFrame]:
        from backtest.replay.replay import replay

        with self.screen.step("replay", "replaying the topic") as step:
            result = replay(config, STRATEGY, "kafka", start=SPLIT_MS)
            ours, theirs = live.seen.lines(), lines_of(result.raw)
            self._write("live.jsonl", ours)
            self._write("replay.jsonl", theirs)
            digest = sha256(theirs).hexdigest()
            step.result = f"{len(result.raw):,} signals again; SHA-256 of both {digest[:12]}"
            step.check(ours == theirs, f"{self.folder}/live.jsonl and replay.jsonl differ")
        self.figures["sha256"] = {"live": sha256(ours).hexdigest(), "replay": digest}
        return result.signals, result.bars

    def _verify(self, config: Config) -> None:
        from backtest.verify.verify import verify

        with self.screen.step("verify", "verifying") as step:
            verdict = verify(config, STRATEGY)
            step.result = f"{verdict.equal:,} live signals are the replay's, byte for byte"
            step.check(verdict.ok, _fault(verdict))
            step.check(verdict.equal == self.figures["bars_live"], f"{verdict.equal} equal signals, not one a bar")
        self.figures["verified"] = verdict.ok and not step.fault

    def _backtest(self, config: Config, signals: pd.DataFrame, bars: pd.DataFrame) -> None:
        from backtest.engines.backtest import run_backtest
        from backtest.trials.trials import Ledger
        from plugins.strategy.ready import ready_strategy

        with self.screen.step("backtest", f"running {ENGINE}") as step:
            strategy = config.strategy(STRATEGY)
            configuration = ready_strategy(STRATEGY, strategy).config_hash
            out = self.folder / "backtest"
            result = run_backtest(
                strategy, bars, signals, [ENGINE], out,
                name=STRATEGY, config_hash=configuration, ledger=Ledger(self.folder),
            )  # fmt: skip
            metrics = result[ENGINE]["metrics"]
            step.result = f"{ENGINE}: {metrics['trades']} trades, return {metrics['total_return']:+.2%}"
        chosen = ("total_return", "sharpe", "max_drawdown", "trades", "fills")
        self.figures["backtest"] = {"engine": ENGINE} | {name: metrics[name] for name in chosen}
        held = json.loads((out / "metrics.json").read_text(encoding="utf-8"))["buy_and_hold"]
        self.figures["backtest"]["buy_and_hold"] = held["total_return"]

    def _write(self, name: str, data: bytes) -> None:
        (self.folder / name).write_bytes(data)

    @property
    def summary(self) -> dict[str, Any]:
        """All that the table shows, and how long each step took."""
        steps = [
            {"step": s.name, "said": s.result, "seconds": round(s.seconds, 2), "fault": s.fault}
            for s in self.screen.steps
        ]
        files = [str(self.folder / name) for name in FILES if (self.folder / name).exists() or name == "summary.json"]
        faults = self.screen.faults
        return {"ok": not faults, "faults": faults, **self.figures, "steps": steps, "files": files}

    def _write_summary(self) -> None:
        self._write("summary.json", json.dumps(self.summary, indent=2).encode() + b"\n")


def _fault(verdict: Any) -> str:
    if verdict.not_reproducible:
        return str(verdict.not_reproducible)
    first = verdict.differences[0] if verdict.differences else None
    return f"{len(verdict.differences)} differences; the first: {first}"
