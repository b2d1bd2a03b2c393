"""Training and cross-validation of a strategy's model."""

from backtest.training.cross_validation import CrossValidation, cross_validate
from backtest.training.run import Training, train
from backtest.training.samples import Samples, data_sha256, make_samples
from backtest.training.scores import Scores
from backtest.training.targets import forward_return

__all__ = [
    "CrossValidation",
    "Samples",
    "Scores",
    "Training",
    "cross_validate",
    "data_sha256",
    "forward_return",
    "make_samples",
    "train",
]
