"""``manifest.json``: what a model artifact is, what it was trained on, and the hashes of its files."""

import contextlib
import platform
import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)
from pydantic import BaseModel as Schema

from plugins.base import BaseModel
from schemas.canonical import canonical_json, sha256_hex
from schemas.errors import ArtifactError

MANIFEST = "manifest.json"
MAX_MANIFEST_BYTES = 1024 * 1024
MAX_FILE_BYTES = 2 << 30
"""Of a model's file, which is read as a whole."""
EVERY_SYMBOL = "*"
"""The key in `models` of a model that predicts for all symbols."""
LIBRARIES = ("python", "numpy", "pandas", "alphawire")
"""Recorded beside the plugin's own `packages`."""


def plain_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", name) or name == MANIFEST:
        raise ValueError(f"{name!r} is not the plain name of a file in the artifact's folder")
    return name


def finite(params: dict[str, Any]) -> dict[str, Any]:
    try:
        canonical_json(params)
    except (ValueError, RecursionError):
        raise ValueError("holds a number that is not finite, which JSON does not know") from None
    return params


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, AfterValidator(plain_name)]


STRICT = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Barriers(Schema):
    """What the triple barriers of a training were."""

    model_config = STRICT

    profit_taking: float
    stop_loss: float
    volatility_bars: int


class Grown(Schema):
    """A record that has got more fields over time: those of `newer` are left out where they are None, so that an
    artifact of before keeps its hash.
    """

    model_config = STRICT
    newer: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _without_what_is_not_there(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in serialize(self).items() if value is not None or name not in self.newer}


class FeatureUse(Grown):
    """One feature as a strategy uses it: its parameters with defaults filled in, the columns that it gives, and the
    digest of the market's sessions that it depends on.
    """

    newer = frozenset({"source", "sessions"})

    key: str
    version: str
    source: Sha256 | None = None
    params: Annotated[dict[str, Any], AfterValidator(finite)]
    columns: list[str]
    sessions: str | None = None


class TrainedOn(Grown):
    """The data, the features and the target of a training. Times are milliseconds since the epoch, UTC, of a bar's
    close. `features` in the order of the configuration, and what of the news counted where they use news; None: of a
    version that did not record it.
    """

    newer = frozenset({"features", "news"})

    interval: str
    features: list[FeatureUse] | None = None
    news: dict[str, Any] | None = None
    symbols: list[str]
    target: str
    horizon_bars: int
    barriers: Barriers | None = None
    first_time: int
    last_time: int
    rows: int
    data_sha256: Sha256


class Estimate(Schema):
    """A score and the bounds of its 95% confidence interval; None where it is undefined."""

    model_config = STRICT

    value: float | None
    low: float | None
    high: float | None


class Evaluation(Schema):
    """Information coefficient, R² and hit rate of predictions (formulas: `backtest.training.scores`)."""

    model_config = STRICT

    ic: Estimate
    r2: Estimate
    hit_rate: Estimate


class OutOfSample(Schema):
    """How the model did on rows that it was not trained on, and two baselines on the same rows.

    `better_than_baselines`: the whole interval of the information coefficient is above 0 (a constant's), and the whole
    interval of its lead over the last return's is, too.
    """

    model_config = STRICT

    rows: int
    first_time: int
    last_time: int
    block_times: float
    resamples: int
    model: Evaluation
    zero: Evaluation
    last_return: Evaluation
    ic_lead: Estimate
    better_than_baselines: bool


class Importance(Grown):
    """What each column weighs. `gain`: its share of what the splits of the trees gained, by the model's own library.
    `permutation`: what the information coefficient of the hold-out loses when the column's values are shuffled.
    """

    newer = frozenset({"gain", "permutation"})

    gain: dict[str, float] | None = None
    permutation: dict[str, float] | None = None


class StoredModel(Schema):
    """The file of a model, and that of its self-test."""

    model_config = STRICT

    file: FileName
    self_test: FileName


class Manifest(Grown):
    """What is in the folder: its SHA-256 (of its canonical JSON) stands for the whole artifact. `left_out`: columns of
    the strategy that the model does not see, as they were NaN in all rows of its training.
    """

    newer = frozenset({"left_out", "source", "importance"})

    format: Literal[2]
    key: str
    version: str
    source: Sha256 | None = None
    params: Annotated[dict[str, Any], AfterValidator(finite)]
    columns: list[str] = Field(min_length=1)
    left_out: list[str] | None = Field(None, min_length=1)
    training: TrainedOn
    libraries: dict[str, str]
    models: dict[str, StoredModel] = Field(min_length=1)
    files: dict[FileName, Sha256]
    out_of_sample: OutOfSample | None
    importance: Importance | None = None

    @property
    def model_file(self) -> str:
        """The file of the model of every symbol, or of the first symbol's."""
        return next(iter(self.models.values())).file

    @property
    def sha256(self) -> str:
        return sha256_hex(canonical_json(self.model_dump(mode="json")))


def read_manifest(folder: str | Path) -> Manifest:
    """The manifest in `folder`; `ArtifactError` when there is none or it is not as it must be."""
    path = Path(folder) / MANIFEST
    refuse_dead_link(Path(folder))
    missing = f"there is no model artifact ({MANIFEST} is missing); `alphawire train` makes one"
    check_plain(Path(folder), MANIFEST, missing)
    with readable(path), path.open("rb") as file:
        data = file.read(MAX_MANIFEST_BYTES + 1)
    if len(data) > MAX_MANIFEST_BYTES:
        raise ArtifactError(f"{path}: more than {MAX_MANIFEST_BYTES} bytes, so no manifest of a model")
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        fault = next((each for each in faults if each["loc"] == ("format",)), faults[0])
        if fault["loc"] == ("format",) and fault["type"] == "literal_error":
            raise ArtifactError(f"{path}: of another format than 2, which this version reads; train again") from None
        place = ".".join(str(part) for part in fault["loc"] if part != "[key]")
        text = " ".join(f"{place}: {fault['msg']}".split()).removeprefix(": ")
        raise ArtifactError(f"{path}: not a manifest: {text}") from None
    for stored in manifest.models.values():
        for name in (stored.file, stored.self_test):
            if name not in manifest.files:
                raise ArtifactError(f"{path}: not a manifest: `files` lacks the model's file {name}")
    return manifest


def library_versions(cls: type[BaseModel]) -> dict[str, str]:
    """Versions of Python and of the libraries that have a say in a model of `cls`."""
    versions = {name: installed_version(name) for name in sorted({*LIBRARIES, *cls.packages})}
    return {name: known for name, known in versions.items() if known}


def installed_version(name: str) -> str | None:
    """Version of Python, or of the distribution `name` or the one that has a module `name`; None: not installed."""
    if name == "python":
        return platform.python_version()
    with contextlib.suppress(PackageNotFoundError):
        return version(name)
    distributions = packages_distributions().get(name)  # sklearn is in scikit-learn
    return version(distributions[0]) if distributions else None


def refuse_dead_link(folder: Path) -> None:
    """A link to an artifact is followed; one that leads nowhere, or in a circle, is no artifact."""
    with readable(folder):
        if folder.is_symlink() and not folder.exists():
            raise ArtifactError(f"{folder} is a link that leads nowhere ({folder.readlink()}); name the folder itself")


def check_plain(folder: Path, name: str, missing: str) -> None:
    """The file is there, and in this folder: what a link points to could be anything, and change."""
    path = folder / name
    with readable(path):
        if path.is_symlink():
            raise ArtifactError(f"{folder}: {name} is a link; put the file itself there")
        if not path.is_file():
            raise ArtifactError(f"{folder}: {missing}")


def check_size(path: Path) -> None:
    """It is not larger than a model's file may be."""
    if (size := path.stat().st_size) > MAX_FILE_BYTES:
        raise ArtifactError(
            f"{path} has {size / 2**30:.1f} GiB, and a worker takes at most {MAX_FILE_BYTES >> 30};"
            " train a smaller model (fewer trees, fewer rows)"
        )


@contextlib.contextmanager
def readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read: {error.strerror or error}") from None
