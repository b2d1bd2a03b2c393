"""scikit-learn's random forest in skops' format: written so that equal forests are equal files, and read to arrays.

skops makes no object of a type that it does not know or trust. Here the types are fewer: those that a
forest of regression trees consists of. It trusts the trees' own type (`Tree`) for nobody, since scikit-learn follows a
node's indices without looking; here they are copied to arrays that are checked, and nothing else of the object is used.
"""

import contextlib
import importlib
import io
import json
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from plugins.base import FloatArray
from plugins.models.trees.arrays import MISSING_LEFT, Trees
from plugins.models.trees.builder import Builder
from schemas.errors import ArtifactError, PluginError

TREE = "sklearn.tree._tree.Tree"
KNOWN = {
    ("sklearn.ensemble._forest.RandomForestRegressor", "ObjectNode"),
    ("sklearn.tree._classes.DecisionTreeRegressor", "ObjectNode"),
    (TREE, "TreeNode"),
    ("numpy.ndarray", "NdArrayNode"),
    ("builtins.dict", "DictNode"),
    ("builtins.list", "ListNode"),
    ("builtins.tuple", "TupleNode"),
    ("builtins.str", "JsonNode"),
    ("builtins.str", "TypeNode"),
}
"""Types in a file, each with how skops makes one."""
SCHEMA = "schema.json"
LARGEST_SCHEMA = 256 * 1024 * 1024
LARGEST = 8 * 1024**3
"""Bytes when unpacked: 200 trees of a million nodes take 14 GB, 200 of a hundred thousand 1.4."""
DATE = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Forest:
    """The mean of its trees' leaves: added up in the order of the trees, then divided, as scikit-learn does."""

    trees: Trees

    @property
    def width(self) -> int:
        return self.trees.width

    def predict(self, rows: FloatArray) -> FloatArray:
        return self.trees.predict(rows) / float(len(self.trees.trees))


def write_forest(model: Any) -> bytes:
    """`model` as ``skops.io.dumps`` writes it, but for the names of its members, the numbers of its objects (both tell
    where they lay in memory) and the dates, so that equal forests are equal bytes.
    """
    with zipfile.ZipFile(io.BytesIO(_skops().dumps(model))) as given:
        schema = json.loads(given.read(SCHEMA))
        numbers: dict[int, int] = {}
        for node in _nodes(schema):
            node["__id__"] = numbers.setdefault(node["__id__"], len(numbers))
        names: dict[str, str] = {}
        for node in _nodes(schema):
            if "file" in node:
                node["file"] = names.setdefault(node["file"], f"{len(names)}.npy")
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as file:
            file.writestr(zipfile.ZipInfo(SCHEMA, DATE), json.dumps(schema), zipfile.ZIP_DEFLATED, 6)
            for old, new in names.items():
                file.writestr(zipfile.ZipInfo(new, DATE), given.read(old), zipfile.ZIP_DEFLATED, 6)
    return packed.getvalue()


def read_forest(data: bytes) -> tuple[Forest, list[str]]:
    """The trees of a forest and the names of its columns.

    scikit-learn casts a row to 32 bits and asks ``x <= threshold`` with thresholds of 64. Raises `ArtifactError` for
    anything but a forest of regression trees with one target, and for a damaged file.
    """
    with _damaged("its archive"):
        _check_archive(data)
    skops = _skops()
    with _damaged("its objects"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of another version of scikit-learn; the manifest lists those that matter
        model = skops.loads(data, trusted=[TREE])
        names = np.asarray(model.feature_names_in_).tolist()
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError("columns without names")
        builder = Builder(len(names), np.float64, np.float32)
        estimators = list(model.estimators_)
        if not estimators or len(estimators) != model.n_estimators or model.n_features_in_ != len(names):
            raise ValueError(f"{len(estimators)} of {model.n_estimators} trees")
    for number, estimator in enumerate(estimators):
        with _damaged(f"tree {number}"):
            _add(builder, estimator.tree_)
    return Forest(builder.trees()), names


def _add(builder: Builder, tree: Any) -> None:
    state = tree.__getstate__()
    nodes, values = state["nodes"], state["values"]
    if values.shape != (len(nodes), 1, 1) or not np.isfinite(values).all():
        raise ValueError(f"leaves of shape {values.shape} for {len(nodes)} nodes, or not finite")
    builder.add(
        left=nodes["left_child"],
        right=nodes["right_child"],
        feature=nodes["feature"],
        # Infinite: missing values on the one side, all others on the other. No value of 32 bits is above the largest
        # number of 64, and a missing one that goes right (infinite, for the loop) is.
        threshold=np.minimum(nodes["threshold"], np.finfo(np.float64).max),
        kind=np.where(nodes["missing_go_to_left"] != 0, MISSING_LEFT, 0).astype(np.uint8),
        value=values[:, 0, 0],
    )


def _check_archive(data: bytes) -> None:
    """Its size when unpacked, and the types of all that is in it, before anything of it is made."""
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        size = sum(member.file_size for member in file.infolist())
        if size > LARGEST or file.getinfo(SCHEMA).file_size > LARGEST_SCHEMA:
            raise ArtifactError(f"its members have {size:,} bytes; a random forest has at most {LARGEST:,}")
        schema = json.loads(file.read(SCHEMA))
    for node in _nodes(schema):
        kind = (f"{node['__module__']}.{node['__class__']}", node["__loader__"])
        if kind not in KNOWN:
            raise ArtifactError(f"it holds a {kind[0]}, which no random forest does; it was not loaded")
    root = f"{schema['__module__']}.{schema['__class__']}"
    if root != "sklearn.ensemble._forest.RandomForestRegressor":
        raise ArtifactError(f"it holds a {root}, and no RandomForestRegressor")


def _nodes(schema: Any) -> Iterator[dict[str, Any]]:
    """What skops wrote for each object, from the root on, always in the same order."""
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if "__class__" in node or "__module__" in node or "__loader__" in node:
                yield node
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node


def _skops() -> Any:
    try:
        return importlib.import_module("skops.io")
    except ImportError:
        raise PluginError("ml.random_forest: it needs skops: pip install 'alphawire[forest]'") from None


@contextlib.contextmanager
def _damaged(place: str) -> Iterator[None]:
    try:
        yield
    except (ArtifactError, PluginError, MemoryError):
        raise
    except Exception as error:  # whatever skops, zipfile and scikit-learn raise on bytes that are none of theirs
        text = " ".join(str(error).split())[:300]
        raise ArtifactError(f"the random forest is damaged in {place}: {type(error).__name__} {text}") from None
