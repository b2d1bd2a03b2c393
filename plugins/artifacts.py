"""A model artifact: a folder with the model's file and ``manifest.json``, which says what it is and where it came from.

The model's file carries a part of its hash in its name, and the manifest names it. Replacing the manifest, one rename,
is therefore what puts a new model in the place of the old one: at no moment is there half an artifact.
"""

import contextlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic_core import to_jsonable_python

from plugins.base import BaseModel
from plugins.columns import column_fault
from plugins.manifest import (
    MANIFEST,
    Manifest,
    TrainedOn,
    check_plain,
    installed_version,
    library_versions,
    plain_name,
    read_manifest,
    readable,
)
from plugins.models import model_registry
from schemas.canonical import canonical_json, file_sha256
from schemas.config import Strategy
from schemas.errors import AlphawireError, ArtifactError, PluginError

__all__ = ["LoadedModel", "Manifest", "TrainedOn", "load_artifact", "read_manifest", "save_artifact"]


@dataclass(frozen=True)
class LoadedModel:
    """A model that is ready to predict, and where it came from."""

    model: BaseModel
    manifest: Manifest
    sha256: str


def save_artifact(model: BaseModel, folder: str | Path, *, columns: Sequence[str], training: TrainedOn) -> Manifest:
    """Writes `model` to `folder`, aside first; what is there stays whole until the new one is.

    Other files in the folder are left. Raises `ArtifactError` when it cannot be written, `PluginError` when the plugin
    cannot save.
    """
    folder = Path(folder).resolve()
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MANIFEST).exists():
        raise ArtifactError(f"{folder} holds files that are no model artifact; name another folder")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as aside:
            with plugin_at_work(model.key, "save"):
                written = Path(aside) / plain_name(model.file_name)
                model.save(written)
            if not written.is_file() or written.is_symlink():
                raise PluginError(f"{model.key}: save(path) wrote no file at path")
            manifest = _manifest(model, columns, training, file_sha256(written))
            (Path(aside) / MANIFEST).write_text(_text(manifest), encoding="utf-8")
            _put_in_place(Path(aside), written, folder, manifest)
    except OSError as error:
        raise ArtifactError(f"the artifact {folder} cannot be written: {error.strerror or error}") from None
    return manifest


def load_artifact(
    folder: str | Path,
    *,
    key: str,
    columns: Sequence[str],
    trusted: bool = False,
    strategy: Strategy | None = None,
) -> LoadedModel:
    """The model in `folder`, which must be one of `key` for these `columns`; checked before a byte of it is parsed.

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
    if fault := column_fault(columns, manifest.columns):
        raise ArtifactError(f"{folder}: the strategy's columns are not those of the training: {fault}; train again")
    if strategy is not None:
        _check_strategy(folder, manifest, cls, strategy)
    _check_libraries(folder, manifest)
    _check_files(folder, manifest)
    with plugin_at_work(key, "load"):
        model = cls(**manifest.params)
        loaded = model.load(folder / manifest.model_file)
    return LoadedModel(loaded if isinstance(loaded, BaseModel) else model, manifest, manifest.sha256)


def _stored_name(name: str, sha256: str) -> str:
    path = Path(name)
    return f"{path.stem}-{sha256[:12]}{path.suffix}"


def _manifest(model: BaseModel, columns: Sequence[str], training: TrainedOn, sha256: str) -> Manifest:
    stored = _stored_name(model.file_name, sha256)
    try:
        manifest = Manifest(
            format=1,
            key=model.key,
            version=model.version,
            params=to_jsonable_python(model.params),
            columns=list(columns),
            training=training,
            libraries=library_versions(type(model)),
            model_file=stored,
            files={stored: sha256},
        )
        canonical_json(manifest.model_dump(mode="json"))
    except ValueError as error:
        raise ArtifactError(
            f"{model.key}: its parameters cannot be written as JSON: {str(error).splitlines()[-1]}"
        ) from None
    return Manifest.model_validate_json(_text(manifest))  # as it will be read: tuples are lists now


def _text(manifest: Manifest) -> str:
    return json.dumps(manifest.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"


def _put_in_place(aside: Path, written: Path, folder: Path, manifest: Manifest) -> None:
    folder.mkdir(exist_ok=True)
    stored = folder / manifest.model_file
    old: set[str] = set()
    with contextlib.suppress(ArtifactError):
        old |= set(read_manifest(folder).files)
    os.replace(written, stored)
    try:
        os.replace(aside / MANIFEST, folder / MANIFEST)
    except OSError:
        if stored.name not in old:
            stored.unlink()
        raise
    ours = re.compile(rf"{re.escape(written.stem)}-[0-9a-f]{{12}}{re.escape(written.suffix)}")
    old |= {path.name for path in folder.iterdir() if ours.fullmatch(path.name)}  # a run that was killed left it
    for superseded in old - set(manifest.files):
        (folder / superseded).unlink(missing_ok=True)


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
    return cls


def _check_strategy(folder: Path, manifest: Manifest, cls: type[BaseModel], strategy: Strategy) -> None:
    trained = manifest.training
    pairs: list[tuple[str, Any, Any]] = [
        ("interval", trained.interval, strategy.interval),
        ("target", trained.target, strategy.training.target),
        ("horizon_bars", trained.horizon_bars, strategy.training.horizon_bars),
    ]
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


def _check_files(folder: Path, manifest: Manifest) -> None:
    for name, sha256 in manifest.files.items():
        check_plain(folder, name, f"{name}, which the manifest lists, is missing; train again")
        with readable(folder / name):
            found = file_sha256(folder / name)
        if found != sha256:
            raise ArtifactError(f"{folder}: {name} is not the file of this manifest: its SHA-256 differs; train again")


@contextlib.contextmanager
def plugin_at_work(key: str, verb: str) -> Iterator[None]:
    """Whatever a plugin's own code raises becomes one line that names it."""
    try:
        yield
    except AlphawireError:
        raise
    except NotImplementedError:
        raise PluginError(f"{key}: does not define {verb}, which training and serving need") from None
    except Exception as error:
        text = " ".join(str(error).split())
        raise PluginError(f"{key}: {verb} failed: {type(error).__name__}: {text}") from None
