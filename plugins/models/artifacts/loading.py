"""A model artifact: a folder with the model's file, its self-test and ``manifest.json``, which says what it is and
where it came from.

The model's file carries a part of its hash in its name, and the manifest names it. Replacing the manifest, one rename,
is therefore what puts a new model in the place of the old one: at no moment is there half an artifact.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from pydantic_core import to_jsonable_python

from plugins.base import BaseModel
from plugins.base.columns import column_fault
from plugins.base.loading.source import source_sha256
from plugins.base.plugin_errors import plugin_errors
from plugins.models import model_registry
from plugins.models.artifacts.chosen_columns import ChosenColumns
from plugins.models.artifacts.inputs import Inputs, check_inputs
from plugins.models.artifacts.manifest import (
    EVERY_SYMBOL,
    Manifest,
    StoredModel,
    TrainedOn,
    check_plain,
    check_size,
    installed_version,
    read_manifest,
    readable,
)
from plugins.models.artifacts.per_symbol import PerSymbolModel
from plugins.models.artifacts.saving import save_artifact
from plugins.models.artifacts.selftest import prove_self_test
from schemas.canonical import file_sha256
from schemas.configuration import Strategy
from schemas.errors import ArtifactError
from schemas.wire import canonical_interval

__all__ = ["LoadedModel", "Manifest", "TrainedOn", "load_artifact", "plugin_errors", "read_manifest", "save_artifact"]


@dataclass(frozen=True)
class LoadedModel:
    """A model that is ready to predict, and where it came from."""

    model: BaseModel
    manifest: Manifest
    sha256: str


def load_artifact(
    folder: str | Path,
    *,
    key: str,
    columns: Sequence[str],
    trusted: bool = False,
    strategy: Strategy | None = None,
    inputs: Inputs | None = None,
) -> LoadedModel:
    """The model in `folder`, which must be one of `key` for these `columns`; checked before a byte of it is parsed,
    and proved by its self-test afterwards: what this returns is certified.

    Parameters
    ----------
    trusted
        Allows a plugin that executes what it loads (pickle, joblib).
    strategy
        If given, the model must have been trained for its interval, target and horizon, and with those parameters that
        it names.

    Raises
    ------
    ArtifactError
        That says what does not match, and the mend.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    cls = _class_for(folder, manifest, key)
    if cls.trusted_only and not trusted:
        raise ArtifactError(
            f"{folder}: {key} executes what its file holds; write `trusted: true` under `model:` if you trust it"
        )
    left_out, chosen = manifest.left_out or [], strategy.model.columns if strategy and strategy.model else None
    given = [name for name in columns if chosen is None or name in chosen]
    seen = [name for name in given if name not in left_out]
    if fault := column_fault(seen, manifest.columns) or column_fault([n for n in given if n in left_out], left_out):
        raise ArtifactError(f"{folder}: the strategy's columns are not those of the training: {fault}; train again")
    if strategy is not None:
        _check_strategy(folder, manifest, cls, strategy)
    if inputs is not None:
        check_inputs(folder, manifest, inputs)
    _check_libraries(folder, manifest)
    check_files(folder, manifest)
    name = (cls, manifest.sha256, *columns, None, *seen)
    if (model := _in_use.get(name)) is None:
        model = _in_use[name] = _model(folder, manifest, cls, seen if len(seen) < len(columns) else None)
    return LoadedModel(model, manifest, manifest.sha256)


_in_use: "WeakValueDictionary[tuple[object, ...], BaseModel]" = WeakValueDictionary()
"""Strategies with one artifact have one model, which then takes memory once, and predicts once for them all."""


def _model(folder: Path, manifest: Manifest, cls: type[BaseModel], seen: list[str] | None) -> BaseModel:
    """`seen`: the columns that it is given, of more; None: all."""
    models: dict[str, BaseModel] = {
        symbol: _certified(folder, manifest, cls, stored) for symbol, stored in manifest.models.items()
    }
    if seen is not None:
        models = {symbol: ChosenColumns(model, seen) for symbol, model in models.items()}
    return models[EVERY_SYMBOL] if EVERY_SYMBOL in models else PerSymbolModel(models)


def _certified(folder: Path, manifest: Manifest, cls: type[BaseModel], stored: StoredModel) -> BaseModel:
    """The model in a file whose hash was checked, proved by its self-test."""
    with plugin_errors(cls.key, "load"):
        model = cls(**manifest.params)
        loaded = model.load(folder / stored.file)
    model = loaded if isinstance(loaded, BaseModel) else model
    with readable(folder / stored.self_test):
        data = (folder / stored.self_test).read_bytes()
    try:
        with plugin_errors(cls.key, "predict"):
            prove_self_test(model, data, manifest.columns)
    except ArtifactError as error:
        raise ArtifactError(f"{folder}: {error}") from None
    return model


def _class_for(folder: Path, manifest: Manifest, key: str) -> type[BaseModel]:
    if manifest.key != key:
        raise ArtifactError(f"{folder}: a model of {manifest.key}, and the strategy wants {key}; train again")
    try:
        cls = model_registry.get(key)
    except KeyError as error:
        raise ArtifactError(f"{folder}: {error.args[0]}") from None
    if manifest.version != cls.version:
        raise ArtifactError(
            f"{folder}: trained by version {manifest.version} of {key}, version {cls.version} is installed; train again"
        )
    source = source_sha256(cls.__module__)
    if manifest.source and source and manifest.source != source:
        raise ArtifactError(
            f"{folder}: trained by {key} version {cls.version} of source {manifest.source[:12]}, and here it is"
            f" {source[:12]}: its code was edited under its version; train again"
        )
    return cls


def _check_strategy(folder: Path, manifest: Manifest, cls: type[BaseModel], strategy: Strategy) -> None:
    trained = manifest.training
    pairs: list[tuple[str, Any, Any]] = [
        ("interval", canonical_interval(trained.interval), canonical_interval(strategy.interval)),
        ("target", trained.target, strategy.training.target),
        ("horizon_bars", trained.horizon_bars, strategy.training.horizon_bars),
        ("per_symbol", EVERY_SYMBOL not in manifest.models, strategy.training.per_symbol),
    ]
    if trained.barriers is not None:
        pairs += [(name, was, getattr(strategy.training, name)) for name, was in trained.barriers]
    if strategy.model is not None and strategy.model.params:
        wanted = to_jsonable_python(cls.validate(strategy.model.params))
        pairs += [(name, manifest.params.get(name), value) for name, value in wanted.items()]
    for name, was, wanted in pairs:
        if was != wanted:
            raise ArtifactError(f"{folder}: trained with {name} {was}, and the strategy says {wanted}; train again")


def _check_libraries(folder: Path, manifest: Manifest) -> None:
    for name, was in manifest.libraries.items():
        now, major = installed_version(name), was.partition(".")[0]
        if now is not None and now.partition(".")[0] != major:
            raise ArtifactError(
                f"{folder}: trained with {name} {was}, {now} is installed; train again, or install {name} {major}"
            )


def check_files(folder: Path, manifest: Manifest) -> None:
    """The files are in the folder, and their hashes are the manifest's."""
    for name, sha256 in manifest.files.items():
        check_plain(folder, name, f"{name}, which the manifest lists, is missing; train again")
        with readable(folder / name):
            check_size(folder / name)
            digest = file_sha256(folder / name)
        if digest != sha256:
            raise ArtifactError(f"{folder}: {name} is not the file of this manifest: its SHA-256 differs; train again")
