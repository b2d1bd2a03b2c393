"""Writing a model artifact: aside first, then the files, then the manifest, whose rename is what counts."""

import contextlib
import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic_core import to_jsonable_python

from plugins.base import BaseModel, FloatArray
from plugins.base.plugin_errors import plugin_errors
from plugins.models.artifacts.manifest import (
    EVERY_SYMBOL,
    MANIFEST,
    Importance,
    Manifest,
    OutOfSample,
    StoredModel,
    TrainedOn,
    check_size,
    library_versions,
    plain_name,
    read_manifest,
    refuse_dead_link,
)
from plugins.models.artifacts.per_symbol import each_model
from plugins.models.artifacts.selftest import OrderedRows, prove_self_test, write_self_test
from schemas.atomic import move_into_place
from schemas.canonical import canonical_json, file_sha256
from schemas.errors import ArtifactError, PluginError

SELF_TEST = "selftest.f64"


def save_artifact(
    model: BaseModel,
    folder: str | Path,
    *,
    columns: Sequence[str],
    training: TrainedOn,
    rows: FloatArray | Mapping[str, FloatArray | OrderedRows],
    out_of_sample: OutOfSample | None = None,
    left_out: Sequence[str] = (),
    importance: Importance | None = None,
) -> Manifest:
    """Writes `model` to `folder`, aside first; what is there stays whole until the new one is.

    Other files in the folder are left. What was written is loaded again and must predict the same bits.

    Parameters
    ----------
    rows
        Features that the model was trained on (rows x columns), of which some become its self-test; for one model a
        symbol, by symbol. For a sequence model they follow each other in time, symbol by symbol.
    out_of_sample
        Scores for the manifest.
    left_out
        Columns of the strategy that are none of the model's.
    importance
        What the model's columns weigh, for the manifest.

    Raises
    ------
    ArtifactError
        When it cannot be written.
    PluginError
        When the plugin cannot save, or loads something else than it saved.
    """
    refuse_dead_link(Path(folder))
    folder = Path(folder).resolve()
    refuse_other_files(folder)
    by_symbol = rows if isinstance(rows, Mapping) else {EVERY_SYMBOL: rows}
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as aside:
            stored = {
                symbol: _write(one, Path(aside), by_symbol[symbol], list(columns)) for symbol, one in each_model(model)
            }
            manifest = _manifest(model, columns, left_out, training, stored, Path(aside), out_of_sample)
            manifest = manifest.model_copy(update={"importance": importance})
            (Path(aside) / MANIFEST).write_text(_text(manifest), encoding="utf-8")
            put_in_place(Path(aside), folder, manifest)
    except OSError as error:
        raise ArtifactError(f"the artifact {folder} cannot be written: {error.strerror or error}") from None
    return manifest


def stored_name(name: str, sha256: str) -> str:
    """The name of a file in an artifact: a part of its hash is in it, so a new model is never written over an old."""
    path = Path(name)
    return f"{path.stem}-{sha256[:12]}{path.suffix}"


def _write(model: BaseModel, aside: Path, rows: FloatArray | OrderedRows, columns: list[str]) -> StoredModel:
    with plugin_errors(model.key, "save"):
        written = aside / plain_name(model.file_name)
        model.save(written)
    if not written.is_file() or written.is_symlink():
        raise PluginError(f"{model.key}: save(path) wrote no file at path")
    check_size(written)
    with plugin_errors(model.key, "predict"):
        write_self_test(model, aside / SELF_TEST, rows, columns)
    with plugin_errors(model.key, "load"):
        fresh = type(model)(**model.params)
        loaded = fresh.load(written)
    try:
        with plugin_errors(model.key, "predict"):
            data = (aside / SELF_TEST).read_bytes()
            prove_self_test(loaded if isinstance(loaded, BaseModel) else fresh, data, columns)
    except ArtifactError as error:
        raise PluginError(f"{model.key}: what it saves and loads is another model: {error}") from None
    return StoredModel(file=_hashed(written), self_test=_hashed(aside / SELF_TEST))


def _hashed(path: Path) -> str:
    return path.rename(path.with_name(stored_name(path.name, file_sha256(path)))).name


def _manifest(
    model: BaseModel,
    columns: Sequence[str],
    left_out: Sequence[str],
    training: TrainedOn,
    stored: dict[str, StoredModel],
    aside: Path,
    out_of_sample: OutOfSample | None,
) -> Manifest:
    names = sorted({name for each in stored.values() for name in (each.file, each.self_test)})
    try:
        manifest = Manifest(
            format=2,
            key=model.key,
            version=model.version,
            source=model.source_sha256,
            params=to_jsonable_python(model.params),
            columns=list(columns),
            left_out=list(left_out) or None,
            training=training,
            libraries=library_versions(type(next(one for _, one in each_model(model)))),
            models=stored,
            files={name: file_sha256(aside / name) for name in names},
            out_of_sample=out_of_sample,
        )
        canonical_json(manifest.model_dump(mode="json"))
    except ValueError as error:
        raise ArtifactError(
            f"{model.key}: its parameters cannot be written as JSON: {str(error).splitlines()[-1]}"
        ) from None
    return Manifest.model_validate_json(_text(manifest))  # as it will be read: tuples are lists now


def _text(manifest: Manifest) -> str:
    return json.dumps(manifest.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"


def refuse_other_files(folder: Path) -> None:
    """An artifact is not put among files that are none."""
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MANIFEST).exists():
        raise ArtifactError(f"{folder} holds files that are no model artifact; name another folder")


def put_in_place(aside: Path, folder: Path, manifest: Manifest) -> None:
    """Moves an artifact's files from `aside`, on the same disk, to `folder`, and takes the old one's away."""
    folder.mkdir(exist_ok=True)
    old: set[str] = set()
    with contextlib.suppress(ArtifactError):
        old |= set(read_manifest(folder).files)
    placed: list[Path] = []
    try:
        for name in manifest.files:
            move_into_place(aside / name, folder / name)
            placed.append(folder / name)
        move_into_place(aside / MANIFEST, folder / MANIFEST)
    except OSError:
        for path in placed:
            if path.name not in old:
                path.unlink()
        raise
    for superseded in (old | _left_over(folder, manifest)) - set(manifest.files):
        (folder / superseded).unlink(missing_ok=True)


def _left_over(folder: Path, manifest: Manifest) -> set[str]:
    """Files named as ours are: a run that was killed left those that no manifest lists."""
    named = (re.fullmatch(r"(.+-)[0-9a-f]{12}(\.[^.]*)?", name) for name in manifest.files)
    parts = [f"{re.escape(name[1])}[0-9a-f]{{12}}{re.escape(name[2] or '')}" for name in named if name]
    ours = re.compile("|".join(parts))
    return {path.name for path in folder.iterdir() if ours.fullmatch(path.name)}
