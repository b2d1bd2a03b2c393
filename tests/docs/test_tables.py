"""The tables of the pages have what the code has: settings, exit codes, topics, checks, built-in plugins."""

import json
import re
from typing import Any

import pytest
from pydantic import BaseModel

from plugins.base.loading.discovery import registries
from plugins.checks.catalogue import CATALOGUE
from plugins.checks.engines.cases import CASES
from plugins.cross_sectional import SectionFeature
from schemas import configuration as c
from streams.kafka.topics import TOPICS
from streams.process.exits import Exit
from tests.docs.pages import page

SECTIONS = {
    "kafka": c.Kafka,
    "worker": c.Worker,
    "strategies": c.Strategy,
    "news": c.News,
    "trades": c.Trades,
    "features": c.FeatureSettings,
    "model": c.ModelUse,
    "training": c.Training,
    "execution": c.Execution,
}


def section(name: str, heading: str) -> str:
    """What a page has under a heading, up to the next one."""
    text = re.split(rf"^#+ {re.escape(heading)}\n", page(name).text, maxsplit=1, flags=re.MULTILINE)[1]
    return re.split(r"^#+ ", text, maxsplit=1, flags=re.MULTILINE)[0]


def shown(default: object) -> str:
    if isinstance(default, tuple) and default:
        return f"`[{', '.join(default)}]`"
    return {None: "*none*", "": "*empty*", (): "*empty*"}.get(
        default, f"`{json.dumps(default) if isinstance(default, bool) else default}`"
    )  # type: ignore[call-overload]


@pytest.mark.parametrize("name", SECTIONS)
def test_every_setting_is_documented_with_its_default(name: str) -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", section("docs/configuration.md", name), re.MULTILINE))
    fields = {field.alias or own: field for own, field in SECTIONS[name].model_fields.items()}
    assert rows.keys() == fields.keys()
    for field, row in rows.items():
        default = fields[field].default
        if fields[field].is_required():
            assert row == "*required*"
        elif not isinstance(default, BaseModel | dict):
            assert row == shown(default), field


def test_every_exit_code_of_a_worker_is_documented() -> None:
    codes = re.findall(r"^\| (\d+) \|", section("docs/operations.md", "Exit codes of a worker"), re.MULTILINE)
    assert [int(code) for code in codes] == sorted(Exit)


def test_every_topic_is_documented_with_how_long_it_is_kept() -> None:
    rows = re.findall(r"^\| `([a-z.-]+)` \| .* \| .* \| (.*) \|$", page("docs/messages.md").text, re.MULTILINE)
    kept = {"compact": "compacted", "-1": "without limit", "86400000": "a day"}
    wanted = {}
    for name, topic in TOPICS.items():
        policy = topic.settings["cleanup.policy"]
        wanted[name] = kept[policy if policy == "compact" else topic.settings["retention.ms"]]
    assert dict(rows) == wanted


@pytest.mark.parametrize("category", CATALOGUE)
def test_every_check_of_the_kit_is_documented(category: str) -> None:
    rows = re.findall(r"^\| (`.*?) \|", section("docs/conformance.md", category.capitalize()), re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert sorted(named) == sorted(check.name for check in CATALOGUE[category])


def test_the_number_of_cases_of_the_execution_contract_is_documented() -> None:
    assert len(CASES) == 17
    assert "seventeen small cases" in section("docs/conformance.md", "Engines")


def parameters(text: str) -> dict[str, str]:
    """``period 14, column close`` → {"period": "14", "column": "close"}."""
    found = {}
    for part in filter(None, (part.strip() for part in re.sub(r" \(.*?\)", "", text).split(","))):
        name, _, value = part.partition(" ")
        found[name] = value.replace("\N{MINUS SIGN}", "-")
    return found


def default(value: Any) -> str:
    if value is None:
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)


@pytest.mark.parametrize(("category", "column"), [("features", 1), ("models", 2), ("signals", 1)])
def test_every_built_in_plugin_is_documented_with_its_defaults(category: str, column: int) -> None:
    text = section("docs/plugins.md", f"Built-in {category}")
    rows = [row.strip("|").split("|") for row in text.splitlines() if row.startswith("| `")]
    documented = {row[0].strip(" `"): parameters(row[column]) for row in rows}
    registry = registries()[category]
    built_in = [
        cls
        for cls in registry.classes()
        if cls.__module__.startswith("plugins.") and not cls.key.startswith("ta.")  # they have a page of their own
    ]
    assert documented.keys() == {cls.key for cls in built_in}
    for cls in built_in:
        fields = cls.Params.model_fields if cls.Params else {}
        assert documented[cls.key].keys() == fields.keys(), cls.key
        for name, value in documented[cls.key].items():
            if value and not (value.startswith("window/") or name == "extra"):
                assert value == default(fields[name].default), (cls.key, name)


@pytest.mark.parametrize(("heading", "key"), [("The signals", "signal.ranking"), ("The signals", "signal.portfolio")])
def test_the_signals_of_cross_sections_are_documented_with_their_defaults(heading: str, key: str) -> None:
    part = section("docs/cross-sections.md", heading).split(f"**`{key}`**", 1)[1].split("**`signal.", 1)[0]
    rows = {name: value.strip("`") for name, value in re.findall(r"^\| `(\w+)` \| (\S+) \|", part, re.MULTILINE)}
    fields = registries()["signals"].get(key).Params.model_fields
    assert rows.keys() == fields.keys()
    for name, value in rows.items():
        assert value == (str(fields[name].default) if "." in value else default(fields[name].default))


def test_every_built_in_feature_is_documented_with_its_columns_and_its_first_value() -> None:
    """The bar of the last column's first value, where there are several."""
    for row in section("docs/plugins.md", "Built-in features").splitlines():
        if not row.startswith("| `"):
            continue
        key, _, columns, first = (cell.strip() for cell in row.strip("|").split("|"))
        if issubclass(registries()["features"].get(key.strip("`")), SectionFeature):
            assert (columns, first) == (f"`COLUMN.{key.strip('`').split('.')[1]}`", "as COLUMN")
            continue
        feature = registries()["features"].create(key.strip("`"))
        assert feature.outputs is not None
        assert set(re.findall(r"`(\w+)`", columns)) & set(feature.outputs), key
        if not columns.startswith("tsfresh"):
            assert tuple(re.findall(r"`(\w+)`", columns)) == feature.outputs
        formula = re.sub(r"(\d) (\w)", r"\1 * \2", first.split(", ")[-1 if "news" not in key else 0])
        assert eval(formula, {}, feature.params) == feature.warmup + 1, key
