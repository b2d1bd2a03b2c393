"""Folds: an initial state and a step over one bar, compiled. State is small, bounded, and saved exactly."""

from plugins.fold.feature import (
    Column,
    FeatureParams,
    Field,
    FoldFeature,
    StepParam,
    column_of,
)

__all__ = [
    "Column",
    "FeatureParams",
    "Field",
    "FoldFeature",
    "StepParam",
    "column_of",
]
