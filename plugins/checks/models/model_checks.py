"""The checks of models."""

import tempfile
import time
from pathlib import Path

import numpy as np

from plugins.base import BaseModel, Plugin
from plugins.checks.features.feature_checks import judged
from plugins.checks.features.subject import describe
from plugins.checks.findings.compare import difference
from plugins.checks.findings.outcome import Failed, Inapplicable
from plugins.checks.models.batches import prove_batch_invariant
from plugins.checks.models.subject import ModelSubject, differing, rows, same, windows_of
from plugins.checks.parameters import refused
from plugins.checks.process import outside
from plugins.checks.repetition import digest
from schemas.errors import PluginError

NO_MODEL = (AttributeError, TypeError, KeyError, IndexError, NameError)
"""What Python raises for a model that is not there: no clear message."""


def reads_its_input_alone(subject: ModelSubject) -> str:
    """Files, network, programs and clocks were watched while it predicted."""
    model = subject.model
    return outside.only_input(lambda: model.predict(subject.unseen.iloc[:20]), subject.cls)


def refuses_before_training(subject: ModelSubject) -> str:
    """`predict` and `save` were called on a model that is neither trained nor loaded."""
    with tempfile.TemporaryDirectory() as folder:
        for name, call in (
            ("predict", lambda: subject.new().predict(subject.X.iloc[:5])),
            ("save", lambda: subject.new().save(Path(folder) / "model")),
        ):
            mend = f"in {name}: if nothing is trained or loaded, raise PluginError('… call train or load first')"
            try:
                call()
            except NotImplementedError:
                continue
            except Exception as error:
                if type(error) in NO_MODEL:
                    raise Failed(
                        f"{name} before training raised {describe(error)}, which explains nothing", mend
                    ) from error
            else:
                raise Failed(f"{name} before training did not fail", mend)
    return "both were refused with a clear error"


def computes(subject: ModelSubject) -> str:
    """It was trained on 300 rows of two symbols and predicted others."""
    predictions = subject.predict(subject.unseen)
    if np.isinf(predictions).any() or np.isnan(predictions).all():
        raise Failed("predictions are infinite or all NaN", "predict a finite number for a row without NaN")
    return f"{len(predictions)} predictions"


def input_untouched(subject: ModelSubject) -> str:
    """What `train` and `predict` were given was compared with copies of it afterwards."""
    given, target, asked = subject.X.copy(), subject.y.copy(), subject.unseen.copy()
    model = subject.new()
    model.train(given, target)
    model.predict(asked)
    for what, before, after in (
        ("X of train", subject.X, given),
        ("y of train", subject.y.to_frame(), target.to_frame()),
        ("X of predict", subject.unseen, asked),
    ):
        deviation = difference(before, after)
        if deviation is not None:
            raise Failed(f"it changed {what}: {deviation.text}", "work on a copy")
    return "they are as they were"


def repeatable(subject: ModelSubject) -> str:
    """Trained twice in this process and once in one with another hash seed: the predictions were compared."""
    first, second = (subject.predict(subject.unseen, subject.fitted(subject.X, subject.y)) for _ in range(2))
    if not same(first, second):
        raise Failed(
            f"trained twice on the same rows, {differing(first, second)}",
            "give the library a seed (a parameter `seed`, 42 by default) and one thread",
        )
    return f"SHA-256 {digest(subject.unseen[[]].assign(prediction=first))}"


def batch_invariant(subject: ModelSubject) -> str:
    """Rows were predicted alone, in batches, in another order and twice: to the last bit."""
    X = subject.unseen.iloc[100:200]  # noqa: N806  (the end of one symbol and the beginning of the other)
    alone = subject.singly(X)
    if not same(alone, subject.singly(X)):
        raise Failed("one row predicted twice gave two values", "predict must not draw, count or use threads")
    batches = {"in one batch": subject.predict(X)}
    if subject.lookback == 1:
        order = np.random.default_rng(1).permutation(len(X))
        shuffled = np.empty(len(X))
        shuffled[order] = subject.predict(X.iloc[order])
        batches["in another order"] = shuffled
        batches["in sevens"] = np.concatenate([subject.predict(X.iloc[i : i + 7]) for i in range(0, len(X), 7)])
    for how, predictions in batches.items():
        if not same(alone, predictions):
            fault = f"alone and {how} {differing(alone, predictions)}"
            if not subject.cls.batch_invariant:
                return f"{fault}; it does not claim otherwise, so a worker predicts row by row"
            raise Failed(fault, "do not declare batch_invariant: a worker then predicts row by row")
    try:
        prove_batch_invariant(subject.model, X.to_numpy(), list(X.columns))
    except PluginError as error:
        raise Failed(f"predict_windows: {error}", "do not declare batch_invariant") from error
    return "the same bits" + ("" if subject.cls.batch_invariant else "; it could declare batch_invariant = True")


def target_unseen(subject: ModelSubject) -> str:
    """The training rows were predicted under another index; and a model was trained a second time, on other rows."""
    model = subject.fitted(subject.X, subject.y)
    if subject.lookback == 1:
        plain = subject.X.reset_index(drop=True)
        if not same(subject.predict(subject.X, model), subject.predict(plain, model)):
            raise Failed(
                "the same rows with another index gave other predictions",
                "depend on the row's values alone: not on its time, and not on y looked up by it",
            )
    other, target = rows(3)
    model.train(other.copy(), target.copy())
    if not same(subject.predict(subject.unseen, model), subject.predict(subject.unseen, subject.fitted(other, target))):
        raise Failed("trained a second time, it is not as if trained once", "let train begin anew")
    return "predictions depend on rows alone"


def save_load(subject: ModelSubject) -> str:
    """The model was saved, loaded into a new instance, and its predictions compared to the last bit."""
    wanted = subject.predict(subject.unseen)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / subject.cls.file_name
        try:
            subject.model.save(path)
            loaded = subject.new()
            with outside.watched() as seen:
                loaded.load(path)
        except NotImplementedError:
            raise Failed(
                "it overrides not both of save and load", "write both: a worker gets its model by load"
            ) from None
        if [file.name for file in Path(folder).iterdir()] != [path.name]:
            raise Failed("save did not write the one file that it was given", "write everything to `path`")
        size = path.stat().st_size
    predictions = subject.predict(subject.unseen, loaded)
    if not same(wanted, predictions):
        raise Failed(f"after save and load {differing(wanted, predictions)}", "store numbers exactly, and all of them")
    unpickled = [what for event, what in seen if event == outside.UNPICKLING]
    if unpickled and not subject.cls.trusted_only:
        raise Failed(
            f"load unpickles ({unpickled[0]}), which executes what is in the file",
            "declare trusted_only = True, or use a format that is data alone",
        )
    return f"the same bits from a file of {size:,} bytes"


def columns_enforced(subject: ModelSubject) -> str:
    """Columns in another order, one missing, one more, and one renamed were given to `predict`."""
    X = subject.unseen  # noqa: N806
    for what, given in {
        "in another order": X[X.columns[::-1]],
        "without the last": X[X.columns[:-1]],
        "with one more": X.assign(other=1.0),
        "with one renamed": X.rename(columns={X.columns[0]: "renamed"}),
    }.items():
        try:
            subject.model.predict(given.copy())
        except Exception as error:
            clear = isinstance(error, PluginError) and any(name in str(error) for name in {*X.columns, *given.columns})
            if subject.cls.__module__.startswith("plugins.") and not clear:  # a built-in one sets the example
                raise Failed(
                    f"columns {what} were refused with {describe(error)}",
                    "raise PluginError that names them: plugins.columns.column_fault names the difference",
                ) from error
            continue
        raise Failed(
            f"columns {what} were accepted",
            "remember the names in train, and refuse others: plugins.columns.column_fault names the difference",
        )
    return "four other sets of columns were refused"


def missing_values(subject: ModelSubject) -> str:
    """Rows with NaN were put among others, which must keep their predictions."""
    if subject.lookback > 1:
        raise Inapplicable("a sequence model sees the rows before, holes included")
    X = subject.unseen.copy()  # noqa: N806
    holes = np.arange(0, len(X), 5)
    X.iloc[holes, 1] = np.nan
    predictions, wanted = subject.singly(X.iloc[:40]), subject.singly(subject.unseen.iloc[:40])
    full = np.arange(40) % 5 != 0
    if not same(predictions[full], wanted[full]):
        raise Failed("a row with NaN changed the predictions of others", "predict NaN for that row alone")
    if np.isinf(predictions).any():
        raise Failed("a row with NaN got an infinite prediction", "predict NaN for that row")
    subject.predict(X)
    return f"{int(np.isnan(predictions[~full]).sum())} of {int((~full).sum())} rows with NaN got NaN"


def shared_state(subject: ModelSubject) -> str:
    """A second model was trained on other rows: the first one must predict what it did."""
    model = subject.fitted(subject.X, subject.y)
    before = subject.predict(subject.unseen, model)
    subject.fitted(*rows(3))
    if not same(before, subject.predict(subject.unseen, model)):
        raise Failed("training another instance changed the first", "keep what you fit on self, not on the class")
    return "two models do not mix"


def parameters(subject: ModelSubject) -> str:
    """Values outside the declared limits, of another type, and an unknown name were tried."""

    def use(plugin: Plugin) -> None:
        assert isinstance(plugin, BaseModel)
        plugin.train(subject.X.copy(), subject.y.copy())

    return refused(subject.cls, subject.params, use)


def speed(subject: ModelSubject) -> str:
    """The time of a prediction was measured as a worker makes them, a hundred rows at a time."""
    columns = list(subject.unseen.columns)
    values = windows_of(subject.unseen, subject.lookback)[:100]
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        subject.model.predict_windows(values, columns)
        times.append(time.perf_counter() - begin)
    return judged(subject.cls.cost, 1e6 * min(times) / len(values), "row")
