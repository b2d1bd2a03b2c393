"""The registry's contract."""

import pytest

from plugins.base import BaseFeature, BaseModel, Plugin
from plugins.base.loading.registry import DuplicateKey, PluginRegistry
from schemas.errors import PluginError


class One(BaseFeature):
    def compute(self, data):
        return data


class Two(One):
    pass


@pytest.fixture
def registry() -> PluginRegistry[BaseFeature]:
    registry = PluginRegistry("features", BaseFeature)
    registry.register("b.one")(One)
    registry.register("a.two")(Two)
    return registry


def test_register_get_create_and_list(registry):
    assert registry.list_keys() == ["a.two", "b.one"]
    assert registry.get("b.one") is One
    assert (One.key, Two.key) == ("b.one", "a.two")
    assert registry.create("b.one", window=3).params == {"window": 3}
    assert registry.classes() == [Two, One]


def test_an_unknown_key_names_near_ones(registry):
    with pytest.raises(KeyError, match=r"no plugin 'b\.on' in features; did you mean b\.one\?"):
        registry.get("b.on")
    with pytest.raises(KeyError, match=r"there is: a\.two, b\.one"):
        registry.create("quite.another")


def test_a_key_twice_is_an_error_that_names_both(registry):
    with pytest.raises(ValueError, match=r"'b\.one' is registered twice in features: by .*test_registry") as error:
        registry.register("b.one")(Two)
    assert isinstance(error.value, DuplicateKey)
    assert registry.get("b.one") is One


@pytest.mark.parametrize("thing", [BaseModel, Plugin, int, 3, lambda data: data])
def test_only_classes_of_the_category(registry, thing):
    with pytest.raises(PluginError, match=r"is not a subclass of BaseFeature"):
        registry.register("c.other")(thing)


def test_without_parameters_declared_any_will_do():
    assert One(a=1, b=[2]).params == {"a": 1, "b": [2]}
    assert One(a=1).params.get("window", 20) == 20
