"""What a plugin's docstring must tell, and that the examples in docstrings run."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import plugins
from plugins.base.loading.discovery import registries

MODULES = sorted(info.name for info in pkgutil.walk_packages(plugins.__path__, "plugins."))
BUILT_IN = [
    pytest.param(cls, id=cls.key)
    for registry in registries().values()
    for cls in registry.classes()
    if cls.__module__.startswith("plugins.")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize("cls", BUILT_IN)
def test_a_plugin_tells_its_parameters(cls):
    text = inspect.cleandoc(cls.__doc__ or "")  # Python 3.13 strips the indent itself
    assert "Notes\n-----" in text
    if cls.Params is not None:
        for name in cls.Params.__annotations__:  # those of its own; inherited ones are told where they are from
            assert name in text, f"{cls.key} does not explain the parameter {name}"
