"""Every page: its links lead somewhere, its blocks have a language, what its inline code names is there."""

import functools
import importlib
import re
import shlex
from collections.abc import Iterator

import pytest

from alphawire.cli import COMMANDS
from schemas.configuration import Config, Strategy
from streams.kafka.topics import TOPICS
from tests.command_lines import parse
from tests.docs.pages import PAGES, ROOT, Page, page

RUN = ("python", "sh", "yaml", "json", "csv", "toml")
"""Languages of blocks that a test here runs or reads; ``text`` is output, or a picture in letters."""

NOT_RUN = {
    ("README.md", "they are the demo and the tests themselves; tests/test_demo.py runs the demo"),
    ("CONTRIBUTING.md", "they are the checks themselves"),
    ("docs/commands.md", "it takes minutes; tests/plugins/conformance checks every plugin"),
    ("docs/commands.md", "tests/test_demo.py runs it"),
    ("docs/configuration.md", "there is no broker of that name"),
    ("docs/operations.md", "it needs Docker; tests/test_compose.py and tests/test_compose_broker.py check the file"),
    ("examples/data/README.md", "the two full files are not here"),
    ("docs/python.md", "the model goes to models/demo; examples/research.ipynb does the same, and a test runs it"),
    ("docs/trades.md", "the file is yours"),
    ("docs/trades.md", "there are no trades on this broker"),
    ("docs/monitoring.md", "it needs Docker; tests/streams/test_monitoring.py runs the same files with a Prometheus"),
    ("docs/performance.md", "it installs other projects, and takes 12 minutes"),
}
"""Every block that is marked as not run, with its reason."""

UNCHECKED = {"CHANGELOG.md": "a history: it names what there was"}

PATHS = re.compile(r"(?:schemas|plugins|streams|backtest|alphawire|tests|examples|docs|benchmarks|deploy)/[\w./-]+")
NAMES = re.compile(r"(?:schemas|plugins|streams|backtest)(?:\.\w+)+")
SETTINGS = re.compile(r"(kafka|worker|news|trades|execution|training|cross_section)\.([a-z]\w+)(?::.*)?")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@each_page
def test_links_lead_somewhere(page: Page) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.text):
        file, _, anchor = target.partition("#")
        linked = (page.path.parent / file).resolve() if file else page.path
        assert linked.is_file(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", linked.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}, target


@each_page
def test_every_block_has_a_language(page: Page) -> None:
    assert not page.indented, "a block without a fence: nobody knows what it is"
    for block in page.blocks:
        assert block.language in (*RUN, "text"), f"line {block.line}"


def test_every_block_that_is_not_run_says_why() -> None:
    assert {(page.name, block.not_run) for page in PAGES for block in page.blocks if block.not_run} == NOT_RUN


def examples(page: Page) -> list[str]:
    """The command lines of a page's blocks, those that are not run included."""
    return [line for block in page.blocks if block.language == "sh" for line in block.commands]


def mentions(page: Page) -> Iterator[str]:
    """The commands that its prose names, arguments left out where they do not matter there."""
    for code in page.inline:
        word, _, rest = code.partition(" ")
        if word in ("alphawire", "make") or re.match(r"python -m |[A-Z_]+=\S* alphawire ", code):
            yield code
        elif word in COMMANDS and rest:
            yield f"alphawire {code}"


@functools.cache
def targets() -> re.Pattern[str]:
    """The targets of the Makefile, those with a part that varies (``unit-%``) among them."""
    names = re.findall(r"^([a-z-]+%?):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return re.compile("|".join(re.escape(name).replace("%", r"[\d.]+") for name in names))


def check_command(line: str, mentioned: bool = False) -> None:
    """It is one, with these options, and with all that it needs unless it is only `mentioned`."""
    words = shlex.split(line.partition(" > ")[0])
    while "=" in words[0]:
        del words[0]
    program, *rest = words
    if program == "make":
        assert all(targets().fullmatch(word) for word in rest if "=" not in word), line
    elif program == "python":
        assert rest[0] == "-m" or (ROOT / rest[0]).is_file(), line
        for path in PATHS.findall(line):
            assert (ROOT / path).exists(), path
    elif program == "alphawire" and rest != ["COMMAND", "--help"]:
        parse(rest, bare=mentioned)


@each_page
def test_every_command_line_is_one(page: Page) -> None:
    for line in examples(page):
        check_command(line)
    if page.name not in UNCHECKED:
        for line in mentions(page):
            check_command(line, mentioned=True)


def inline_facts(page: Page) -> Iterator[tuple[str, bool]]:
    """What inline code names, and whether it is there: files, Python names, settings, pages of a worker."""
    for code in page.inline:
        if PATHS.fullmatch(code.partition("::")[0]) and "NAME" not in code:
            yield code, (ROOT / code.partition("::")[0]).exists()
        elif (name := NAMES.match(code)) and name[0] not in TOPICS:
            yield code, is_importable(name[0])
        elif setting := SETTINGS.fullmatch(code):
            yield code, is_setting(setting[1], setting[2])
        elif got := re.fullmatch(r"GET (/[\w/]*)", code):
            yield code, any(f'"{got[1]}"' in text for text in pages_of_a_worker())


def is_importable(name: str) -> bool:
    module, *rest = name.split(".")
    found = importlib.import_module(module)
    for part in rest:
        module = f"{module}.{part}"
        try:
            found = getattr(found, part) if hasattr(found, part) else importlib.import_module(module)
        except ModuleNotFoundError:
            return False
    return True


def is_setting(section: str, name: str) -> bool:
    of = Config if section in Config.model_fields else Strategy
    return name in of.model_fields[section].annotation.model_fields or f"{section}.{name}" in plugin_keys() | set(
        TOPICS
    )


@functools.cache
def plugin_keys() -> frozenset[str]:
    from plugins.base.loading.discovery import registries

    return frozenset(key for registry in registries().values() for key in registry.list_keys())


@functools.cache
def pages_of_a_worker() -> list[str]:
    return [path.read_text() for path in (ROOT / "streams").rglob("web.py")]


@each_page
def test_what_inline_code_names_is_there(page: Page) -> None:
    assert [code for code, there in inline_facts(page) if not there] == []


@each_page
def test_something_of_every_page_is_checked(page: Page) -> None:
    if page.name not in UNCHECKED:
        assert [*page.blocks_in(*RUN), *examples(page), *mentions(page), *inline_facts(page), *shown(page)]


def shown(page: Page) -> list[str]:
    """The names whose docstrings the page shows."""
    return re.findall(r"^::: (\S+)$", page.text, re.MULTILINE)


@each_page
def test_what_the_reference_shows_is_there(page: Page) -> None:
    for name in shown(page):
        assert is_importable(name), name


def test_every_command_is_in_the_readme_and_has_an_example() -> None:
    lines = [line.partition("alphawire ")[2] for line in examples(page("docs/commands.md"))]
    for name in COMMANDS:
        assert f"| `alphawire {name}` |" in page("README.md").text
        assert any(line.startswith(name) for line in lines), name
