"""Artifacts: what is written comes back, and whatever does not match is refused before the model's file is parsed."""

import contextlib
import hashlib
import json
import os
import pickle
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from plugins.base import BaseModel
from plugins.models import model_registry
from plugins.models.artifacts.loading import Manifest, TrainedOn, load_artifact, read_manifest, save_artifact
from schemas.configuration import Strategy
from schemas.errors import AlphawireError, ArtifactError, PluginError

COLUMNS = ["rsi", "atr", "größe"]
TRAINED = TrainedOn(
    interval="1m", symbols=["A", "B"], target="forward_return", horizon_bars=5, first_time=60_000, last_time=600_000,
    rows=200, data_sha256="0" * 64,
)  # fmt: skip
DATA = pd.DataFrame(np.random.default_rng(0).normal(size=(200, 3)), columns=COLUMNS)
ROWS = DATA.to_numpy()


def trained(**params: Any) -> BaseModel:
    model = model_registry.create("ml.lightgbm", **{"n_estimators": 3, **params})
    model.train(DATA, DATA["rsi"] * 2)
    return model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_artifact(trained(), tmp_path / "models" / "demo", columns=COLUMNS, training=TRAINED, rows=ROWS)
    return tmp_path / "models" / "demo"


@pytest.fixture
def pickled() -> Iterator[type[BaseModel]]:
    """A plugin as users write them first: its file is a pickle."""

    @model_registry.register("test.pickled")
    class Pickled(BaseModel):
        trusted_only = True
        packages = {"sklearn": "scikit-learn"}
        loads = 0

        def predict(self, X: pd.DataFrame) -> "pd.Series[float]":  # noqa: N803
            return pd.Series(0.0, X.index)

        def save(self, path: str | Path) -> None:
            Path(path).write_bytes(pickle.dumps(self.params))

        def load(self, path: str | Path) -> "Pickled":
            Pickled.loads += 1
            return Pickled(**pickle.loads(Path(path).read_bytes()))

    yield Pickled
    model_registry.forget(__name__)


def load(folder: Path, **change: Any) -> Any:
    return load_artifact(folder, **{"key": "ml.lightgbm", "columns": COLUMNS, **change})


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def change_manifest(folder: Path, **values: Any) -> None:
    """Writes `values` over the manifest's, a dotted name into the field below."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    for name, value in values.items():
        *above, last = name.split("__")
        target = manifest
        for part in above:
            target = target[part]
        if value is None:
            del target[last]
        else:
            target[last] = value
    path.write_text(json.dumps(manifest), encoding="utf-8")


def test_what_is_saved_comes_back(folder: Path) -> None:
    loaded = load(folder)
    assert loaded.model.predict(DATA).equals(trained().predict(DATA))
    assert loaded.model.params == trained().params
    assert loaded.manifest.training == TRAINED
    assert loaded.manifest.columns == COLUMNS
    assert {"python", "numpy", "lightgbm", "pandas"} <= set(loaded.manifest.libraries)
    stored = loaded.manifest.models["*"]
    assert names(folder) == ["manifest.json", stored.file, stored.self_test]
    assert loaded.manifest.files == {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in (stored.file, stored.self_test)
    }


def test_the_hash_stands_for_everything(folder: Path, tmp_path: Path) -> None:
    """SHA-256 of the manifest's canonical JSON: equal for an equal training, whatever the file's white space."""
    first = load(folder).sha256
    data = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    canonical = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert first == hashlib.sha256(canonical).hexdigest()
    change_manifest(folder)
    assert load(folder).sha256 == first
    again = save_artifact(trained(), tmp_path / "again", columns=COLUMNS, training=TRAINED, rows=ROWS)
    assert again.sha256 == first
    other = save_artifact(trained(seed=1), tmp_path / "other", columns=COLUMNS, training=TRAINED, rows=ROWS)
    assert other.sha256 != first


def test_a_new_model_takes_the_place_of_the_old_one(folder: Path) -> None:
    (folder / "notes.md").write_text("mine")
    (folder / "model-0123456789ab.txt").write_text("left by a run that was killed")
    (folder / "selftest-0123456789ab.f64").write_text("left by a run that was killed")
    old = load(folder).manifest
    new = save_artifact(trained(n_estimators=4), folder, columns=COLUMNS, training=TRAINED, rows=ROWS)
    assert names(folder) == sorted(["manifest.json", *new.files, "notes.md"])
    assert not set(new.files) & set(old.files)
    assert load(folder).sha256 == new.sha256
    assert names(folder.parent) == ["demo"]


def test_the_same_model_again_changes_nothing(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    save_artifact(trained(), folder, columns=COLUMNS, training=TRAINED, rows=ROWS)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_link_to_a_folder_is_followed(folder: Path) -> None:
    (folder.parent / "current").symlink_to("demo")
    new = save_artifact(
        trained(n_estimators=4), folder.parent / "current", columns=COLUMNS, training=TRAINED, rows=ROWS
    )
    assert load(folder).sha256 == load(folder.parent / "current").sha256 == new.sha256
    assert names(folder.parent) == ["current", "demo"]


def failing(error: Exception | None) -> BaseModel:
    class Failing(BaseModel):
        key = "test.failing"

        def predict(self, X: pd.DataFrame) -> "pd.Series[float]":  # noqa: N803
            return pd.Series(0.0, X.index)

        def load(self, path: str | Path) -> None:
            pass

        def save(self, path: str | Path) -> None:
            if error is not None:
                Path(path).write_text("half")
                raise error

    return Failing()


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (RuntimeError("out of\nluck"), "test.failing: save failed: RuntimeError: out of luck"),
        (NotImplementedError(), "test.failing: does not define save, which training and serving need"),
        (None, "test.failing: save(path) wrote no file at path"),
    ],
)
def test_a_failed_save_leaves_the_old_artifact_and_no_junk(folder: Path, error: Exception | None, fault: str) -> None:
    before = load(folder).sha256
    for target in (folder, folder.parent / "new"):
        with pytest.raises(PluginError) as caught:
            save_artifact(failing(error), target, columns=COLUMNS, training=TRAINED, rows=ROWS)
        assert str(caught.value) == fault
    assert load(folder).sha256 == before
    assert names(folder.parent) == ["demo"]


def test_a_manifest_that_cannot_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "demo" / "manifest.json").mkdir(parents=True)
    with pytest.raises(ArtifactError, match="cannot be written"):
        save_artifact(trained(), tmp_path / "demo", columns=COLUMNS, training=TRAINED, rows=ROWS)
    assert names(tmp_path / "demo") == ["manifest.json"]
    assert names(tmp_path) == ["demo"]


@contextlib.contextmanager
def room(size: int) -> Iterator[None]:
    """No file can grow beyond `size` bytes: what a disk that fills does, where the limit is reached."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(("size", "what"), [(10, "the model"), (500, "the self-test"), (600, "the manifest")])
def test_a_disk_that_fills_leaves_the_old_artifact(tmp_path: Path, pickled: Any, size: int, what: str) -> None:
    """The model's file has less than 200 bytes, the self-test 512, the manifest more."""
    old = save_artifact(pickled(alpha=1.0), tmp_path / "p", columns=["a"], training=TRAINED, rows=ROWS[:, :1])
    sizes = sorted((tmp_path / "p" / name).stat().st_size for name in (*old.files, "manifest.json"))
    assert 10 < sizes[0] < 500 < sizes[1] == 512 < 600 < sizes[2]
    for folder in (tmp_path / "p", tmp_path / "new"):
        with room(size), pytest.raises(ArtifactError, match=r"the artifact .* cannot be written: File too large$"):
            save_artifact(pickled(alpha=2.0), folder, columns=["a"], training=TRAINED, rows=ROWS[:, :1])
    assert read_manifest(tmp_path / "p") == old
    assert names(tmp_path / "p") == sorted([*old.files, "manifest.json"])
    assert names(tmp_path) == ["p"]


def test_a_file_in_the_folders_place(tmp_path: Path) -> None:
    (tmp_path / "demo").write_text("a file")
    with pytest.raises(ArtifactError, match="cannot be written"):
        save_artifact(trained(), tmp_path / "demo", columns=COLUMNS, training=TRAINED, rows=ROWS)
    assert (tmp_path / "demo").read_text() == "a file"


@pytest.mark.parametrize("name", ["../model", "a/b", "", ".hidden", "manifest.json"])
def test_a_plugin_cannot_write_elsewhere(tmp_path: Path, name: str) -> None:
    model = failing(None)
    model.file_name = name  # type: ignore[misc]
    with pytest.raises(PluginError, match="is not the plain name of a file"):
        save_artifact(model, tmp_path / "demo", columns=COLUMNS, training=TRAINED, rows=ROWS)
    assert names(tmp_path) == []


def test_parameters_that_are_no_json(tmp_path: Path) -> None:
    model = failing(None)
    model.params = {"alpha": float("inf")}
    model.save = lambda path: Path(path).write_text("x")  # type: ignore[method-assign,assignment]
    with pytest.raises(ArtifactError, match="its parameters cannot be written as JSON"):
        save_artifact(model, tmp_path / "demo", columns=COLUMNS, training=TRAINED, rows=ROWS)
    assert names(tmp_path) == []


LIGHTGBM_3 = "trained with lightgbm 3.3.5, 4.* is installed; train again, or install lightgbm 3"

REFUSALS: dict[str, tuple[Callable[[Path], object], dict[str, Any], str]] = {
    "no folder": (lambda f: f.rename(f.with_name("x")), {}, "there is no model artifact .*`alphawire train`"),
    "no manifest": (lambda f: (f / "manifest.json").unlink(), {}, "there is no model artifact"),
    "a huge manifest": (
        lambda f: (f / "manifest.json").write_text(" " * (1024 * 1024 + 1)), {}, "more than 1048576 bytes",
    ),
    "a manifest of 10 GB": (
        lambda f: os.truncate(f / "manifest.json", 10 * 1024**3), {}, "more than 1048576 bytes, so no manifest",
    ),
    "the self-test is longer": (lambda f: os.truncate(self_test(f), 10**6), {}, "its SHA-256 differs"),
    "no json": (lambda f: (f / "manifest.json").write_text("{"), {}, "not a manifest: Invalid JSON"),
    "not utf-8": (lambda f: (f / "manifest.json").write_bytes(b'{"a\xff'), {}, "not a manifest: Invalid JSON"),
    "deep json": (lambda f: (f / "manifest.json").write_text("[" * 100_000), {}, "not a manifest: Invalid JSON"),
    "an older format": (lambda f: change_manifest(f, format=1, models=None), {}, "another format than 2.* train again"),
    "a field is missing": (lambda f: change_manifest(f, params=None), {}, "params: Field required"),
    "a field too many": (lambda f: change_manifest(f, more=1), {}, "more: Extra inputs are not permitted"),
    "a field of another type": (lambda f: change_manifest(f, training__rows="9"), {}, "training.rows: Input should be"),
    "a hash that is none": (lambda f: change_manifest(f, files={"a": "b"}), {}, "files.a: String should match"),
    "a file outside": (
        lambda f: change_manifest(f, models={"*": {"file": "../m", "self_test": "t"}}), {},
        "file: .*'../m' is not the plain name of a file",
    ),
    "an absolute file": (
        lambda f: change_manifest(f, files={"/etc/hosts": "0" * 64}), {}, "'/etc/hosts' is not the plain name",
    ),
    "a file of no hash": (lambda f: change_manifest(f, files={}), {}, "`files` lacks the model's file model-"),
    "no model": (lambda f: change_manifest(f, models={}), {}, "models: Dictionary should have at least 1 item"),
    "an infinite number": (
        lambda f: put_text(f, '"n_estimators": 3', '"n_estimators": 1e999'), {}, "params: .* number that is not finite",
    ),
    "an infinite barrier": (
        lambda f: put_text(f, '"barriers": null', '"barriers": {"profit_taking": 1e999, "stop_loss": 1.0, '
                                                  '"volatility_bars": 20}'),
        {}, "training.barriers.profit_taking: Input should be a finite number",
    ),
    "the self-test is missing": (lambda f: self_test(f).unlink(), {}, "selftest-.*, which the manifest lists, is miss"),
    "the self-test is changed": (lambda f: self_test(f).write_bytes(b"12345678"), {}, "its SHA-256 differs"),
    "the self-test is a link": (lambda f: relink(self_test(f)), {}, "selftest-.* is a link"),
    "another plugin": (lambda f: None, {"key": "ml.ridge"}, "a model of ml.lightgbm, and the strategy wants ml.ridge"),
    "an unknown plugin": (
        lambda f: change_manifest(f, key="ml.lightbgm"), {"key": "ml.lightbgm"}, "no plugin 'ml.lightbgm'",
    ),
    "another version": (
        lambda f: change_manifest(f, version="0"), {}, "trained by version 0 of ml.lightgbm, version 1 is installed",
    ),
    "columns missing": (lambda f: None, {"columns": ["rsi", "größe"]}, "missing atr; train again"),
    "columns unknown": (lambda f: None, {"columns": [*COLUMNS, "x"]}, "unknown x; train again"),
    "columns in another order": (
        lambda f: None, {"columns": ["atr", "rsi", "größe"]}, "order differs: atr, rsi, größe instead of rsi",
    ),
    "another lightgbm": (
        lambda f: change_manifest(f, libraries__lightgbm="3.3.5"), {}, LIGHTGBM_3,
    ),
    "another python": (lambda f: change_manifest(f, libraries__python="2.7.18"), {}, "trained with python 2.7.18, 3"),
    "the file is missing": (lambda f: model_file(f).unlink(), {}, "which the manifest lists, is missing"),
    "the file is changed": (lambda f: model_file(f).open("a").write(" "), {}, "its SHA-256 differs"),
    "the file is a link": (lambda f: relink(model_file(f)), {}, "model-.* is a link"),
    "the manifest is a link": (lambda f: relink(f / "manifest.json"), {}, "manifest.json is a link"),
    "the file is a folder": (lambda f: (model_file(f).unlink(), model_file(f, True).mkdir()), {}, "is missing"),
    "unknown parameters": (lambda f: change_manifest(f, params={"leaves": 3}), {}, "parameter leaves: Extra inputs"),
}  # fmt: skip


def model_file(folder: Path, gone: bool = False) -> Path:
    name = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["models"]["*"]["file"]
    assert gone or (folder / name).exists()
    return folder / str(name)


def self_test(folder: Path) -> Path:
    return folder / str(json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["models"]["*"]["self_test"])


def put_text(folder: Path, old: str, new: str) -> None:
    """Writes `new` where the manifest's text has `old`."""
    text = (folder / "manifest.json").read_text(encoding="utf-8")
    assert text.count(old) == 1
    (folder / "manifest.json").write_text(text.replace(old, new), encoding="utf-8")


def relink(path: Path) -> None:
    path.symlink_to(path.rename(path.parent.parent / "elsewhere"))


@pytest.mark.parametrize("case", REFUSALS)
def test_what_does_not_match_is_refused(folder: Path, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil, change, message = REFUSALS[case]
    spoil(folder)
    parsed: list[Any] = []
    monkeypatch.setattr(type(trained()), "load", lambda self, path: parsed.append(path))
    with pytest.raises(AlphawireError, match=message) as caught:
        load(folder, **change)
    assert "\n" not in str(caught.value)
    assert not parsed


def change_self_test(folder: Path, data: bytes) -> None:
    """Another self-test, with a manifest that fits it."""
    stored = read_manifest(folder).models["*"]
    (folder / stored.self_test).write_bytes(data)
    files = {stored.file: read_manifest(folder).files[stored.file], stored.self_test: hashlib.sha256(data).hexdigest()}
    change_manifest(folder, files=files)


def test_the_self_test_holds_rows_of_the_training_and_their_predictions(folder: Path) -> None:
    records = np.frombuffer(self_test(folder).read_bytes(), "<f8").reshape(32, 4)
    rows = [tuple(row) for row in DATA.to_numpy().tolist()]
    places = [rows.index(tuple(record)) for record in records[:, :3].tolist()]
    assert places == sorted(places)
    assert (places[0], places[-1]) == (0, 199)
    assert records[:, 3].tolist() == trained().predict(DATA.iloc[places]).tolist()


def test_one_other_bit_in_a_prediction_is_refused(folder: Path) -> None:
    """What a machine or a library that computes otherwise would show."""
    data = bytearray(self_test(folder).read_bytes())
    data[4 * 8 * 7 + 3 * 8] ^= 1  # the lowest bit of the eighth row's prediction
    change_self_test(folder, bytes(data))
    with pytest.raises(ArtifactError, match=r"self-test: 1 of 32 predictions are not those of the training .*train"):
        load(folder)


def test_a_self_test_of_other_columns_is_refused(folder: Path) -> None:
    for data in (b"", self_test(folder).read_bytes()[:-8]):
        change_self_test(folder, data)
        with pytest.raises(ArtifactError, match=f"its self-test of {len(data)} bytes is not one of 3 columns"):
            load(folder)


def test_a_plugin_that_loads_another_model_than_it_saved_gets_no_artifact(tmp_path: Path) -> None:
    class Forgetful(BaseModel):
        key = "test.forgetful"
        level = 1.0

        def predict(self, X: pd.DataFrame) -> "pd.Series[float]":  # noqa: N803
            return pd.Series(self.level, X.index)

        def save(self, path: str | Path) -> None:
            Path(path).write_text("nothing")

        def load(self, path: str | Path) -> None:
            pass

    model = Forgetful()
    model.level = 2.0
    with pytest.raises(PluginError, match=r"test.forgetful: what it saves and loads is another model: .* 32 of 32"):
        save_artifact(model, tmp_path / "demo", columns=COLUMNS, training=TRAINED, rows=ROWS)
    assert names(tmp_path) == []


def test_a_library_that_is_not_here_does_not_matter(folder: Path) -> None:
    change_manifest(folder, libraries__catboost="1.2.3")
    assert load(folder).manifest.libraries["catboost"] == "1.2.3"


def test_what_executes_its_file_needs_trust(tmp_path: Path, pickled: Any) -> None:
    manifest = save_artifact(pickled(alpha=2.0), tmp_path / "p", columns=["a"], training=TRAINED, rows=ROWS[:, :1])
    assert "sklearn" in manifest.libraries
    with pytest.raises(ArtifactError, match=r"test.pickled executes what its file holds; write `trusted: true`"):
        load_artifact(tmp_path / "p", key="test.pickled", columns=["a"])
    assert pickled.loads == 1  # when it was saved
    loaded = load_artifact(tmp_path / "p", key="test.pickled", columns=["a"], trusted=True)
    assert loaded.model.params == {"alpha": 2.0}


def test_a_plugin_that_fails_to_load(tmp_path: Path, pickled: Any) -> None:
    manifest = save_artifact(pickled(), tmp_path / "p", columns=["a"], training=TRAINED, rows=ROWS[:, :1])
    (tmp_path / "p" / manifest.model_file).write_bytes(b"no pickle")
    sha256 = hashlib.sha256(b"no pickle").hexdigest()
    change_manifest(tmp_path / "p", files=manifest.files | {manifest.model_file: sha256})
    with pytest.raises(PluginError, match=r"test.pickled: load failed: UnpicklingError"):
        load_artifact(tmp_path / "p", key="test.pickled", columns=["a"], trusted=True)


STRATEGY: dict[str, Any] = {
    "interval": "1m", "features": ["technical.rsi"], "model": {"key": "ml.lightgbm", "artifact": "x"},
    "signal": "signal.threshold",
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, None),
        ({"model": {"key": "ml.lightgbm", "artifact": "x", "params": {"n_estimators": 3}}}, None),
        ({"interval": "1h"}, "trained with interval 1m, and the strategy says 1h; train again"),
        ({"training": {"horizon_bars": 9}}, "trained with horizon_bars 5, and the strategy says 9"),
        (
            {"model": {"key": "ml.lightgbm", "artifact": "x", "params": {"n_estimators": 3, "num_leaves": 7}}},
            "trained with num_leaves 31, and the strategy says 7",
        ),
    ],
)
def test_a_model_for_another_strategy(folder: Path, change: dict[str, Any], message: str | None) -> None:
    strategy = Strategy.model_validate(STRATEGY | change)
    if message is None:
        assert load(folder, strategy=strategy)
        return
    with pytest.raises(ArtifactError, match=message):
        load(folder, strategy=strategy)


def test_the_manifest_has_a_json_schema() -> None:
    assert set(Manifest.model_json_schema()["required"]) == set(Manifest.model_fields) - Manifest.newer
