"""What is declared, locked and licensed agrees with what the code uses."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PACKAGES = ("schemas", "plugins", "streams", "backtest", "alphawire")
LOCKS = ("requirements.lock", "requirements-dev.lock")


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def requirements(project: dict[str, Any], *extras: str) -> list[Requirement]:
    """Of the core, of `extras` and of what builds, with extras of our own resolved."""
    own = project["project"]
    lines = [*own["dependencies"], *project["dependency-groups"]["build"]]
    for extra in extras:
        lines += own["optional-dependencies"][extra]
    found = []
    for requirement in map(Requirement, lines):
        if requirement.name == own["name"]:
            found += requirements(project, *requirement.extras)
        else:
            found.append(requirement)
    return found


def locked(name: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9._-]+)==([^ ]+)", (ROOT / name).read_text(), re.MULTILINE))


@pytest.mark.parametrize(("lock", "extras"), [(LOCKS[0], ("lightgbm", "backtest", "embedded")), (LOCKS[1], ("dev",))])
def test_a_lock_has_all_that_is_declared_in_an_allowed_version(project, lock, extras) -> None:
    versions = locked(lock)
    for requirement in requirements(project, *extras):
        assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)]), requirement


def test_the_development_lock_holds_the_other_one() -> None:
    assert locked(LOCKS[0]).items() < locked(LOCKS[1]).items()


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_a_hash_for_every_package_and_no_address(lock) -> None:
    text = (ROOT / lock).read_text()
    entries = [entry for entry in re.split(r"\n(?=\S)", text) if not entry.startswith("#")]
    assert len(entries) == len(locked(lock))
    assert all(" --hash=sha256:" in entry for entry in entries)
    assert not re.search(r"://|^-|index-url|find-links", text, re.MULTILINE)


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13", "3.14"])
@pytest.mark.parametrize(("lock", "extras"), [(LOCKS[0], ("lightgbm", "backtest", "embedded")), (LOCKS[1], ("dev",))])
def test_a_lock_is_for_every_supported_python(project, lock, extras, version) -> None:
    assert version in SpecifierSet(project["project"]["requires-python"])
    environment = {"python_version": version, "python_full_version": f"{version}.0"}
    pins = re.findall(r"^[a-z0-9].*?(?= \\$)", (ROOT / lock).read_text(), re.MULTILINE)
    applicable = [pin for pin in map(Requirement, pins) if not pin.marker or pin.marker.evaluate(environment)]
    names = {pin.name for pin in applicable}
    assert len(names) == len(applicable)
    assert {canonicalize_name(requirement.name) for requirement in requirements(project, *extras)} <= names


def test_nothing_huge_is_installed_for_the_demo() -> None:
    assert not {"torch", "transformers", "vectorbt", "tsfresh", "xgboost", "catboost"} & locked(LOCKS[0]).keys()


def imported(*packages: str) -> set[str]:
    """Top-level modules that are imported anywhere in `packages`."""
    names = set()
    for package in packages:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    names |= {alias.name.partition(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                    names.add(node.module.partition(".")[0])
    return names


def test_every_library_that_the_code_imports_is_declared(project) -> None:
    extras = project["project"]["optional-dependencies"].keys() - {"dev"}
    declared = {canonicalize_name(r.name) for r in requirements(project, *extras)}
    providers = packages_distributions()
    foreign = imported(*PACKAGES) - set(sys.stdlib_module_names) - set(PACKAGES)
    missing = {
        module for module in foreign if not {canonicalize_name(d) for d in providers.get(module, [module])} & declared
    }
    # Parts of Faust and of pydantic, only ever installed with them in the one version that fits.
    assert missing <= {"mode", "yarl", "pydantic_core"}


def test_licences_of_what_ships_and_of_optional_engines_are_told() -> None:
    notice = (ROOT / "NOTICE").read_text()
    for word in (
        "QuantConnect LEAN",
        "stocknet-dataset",
        "MIT License",
        "Copyright (c) 2018 Yumo Xu",
        "backtrader",
        "GNU General",
        "Tansu",
    ):
        assert word in notice
    assert "Apache License" in (ROOT / "LICENSE").read_text().splitlines()[1]


def test_every_file_beside_the_code_is_shipped(project) -> None:
    patterns = project["tool"]["setuptools"]["package-data"]["*"]
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*"):
            if path.is_file() and path.suffix != ".py" and "__pycache__" not in path.parts:
                assert any(path.match(pattern) for pattern in patterns), path
