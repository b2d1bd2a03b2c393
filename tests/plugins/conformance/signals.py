"""Signal generators and engines, clean and faulty."""

import math
from datetime import datetime

import numpy as np
import pandas as pd
from pydantic import Field

from plugins.base import BaseSignalGenerator, Params
from tests.plugins.conformance.table import clean, faulty


class ByRow(BaseSignalGenerator):
    """A signal from the prediction alone."""

    def generate(self, predictions):
        return predictions.assign(signal=self.signal(predictions["prediction"]))

    def signal(self, prediction):
        raise NotImplementedError


@clean
class Sign(ByRow):
    """HOLD where there is no prediction: a comparison with NaN is false."""

    def signal(self, prediction):
        return np.select([prediction > 0, prediction < 0], ["BUY", "SELL"], "HOLD")


@clean
class Band(BaseSignalGenerator):
    """With a parameter, weights and reasons."""

    scaled = True

    class Params(Params):
        band: float = Field(0.5, gt=0)

    def generate(self, predictions):
        size = predictions["prediction"].clip(-1.0, 1.0)
        quiet = size.abs() <= self.params["band"]
        signal = np.select([size.isna() | quiet, size > 0], ["HOLD", "BUY"], "SELL")
        return predictions.assign(signal=signal, weight=size.mask(quiet), reason=np.where(quiet, "quiet", "loud"))


@clean
class Size(ByRow):
    """A number; NaN, so HOLD, where there is no prediction."""

    def signal(self, prediction):
        return prediction.clip(-1.0, 1.0)


@clean
class WithCondition(BaseSignalGenerator):
    """Reads another column, if it is there."""

    def generate(self, predictions):
        calm = predictions["rsi"] < 70.0 if "rsi" in predictions else True
        buy = (predictions["prediction"] > 0.5) & calm
        return predictions.assign(signal=np.where(buy, "BUY", "HOLD"))


@clean
class NoneForNothing(ByRow):
    """Objects: strings, and None for no decision."""

    def signal(self, prediction):
        return pd.Series(["BUY" if value > 1.0 else None for value in prediction], prediction.index, dtype=object)


@faulty("no_look_ahead")
class AboveMedian(ByRow):
    def signal(self, prediction):
        middle = prediction.median()
        return np.select([prediction > middle, prediction < middle], ["BUY", "SELL"], "HOLD")


@faulty("no_look_ahead")
class RankedOverAll(ByRow):
    def signal(self, prediction):
        rank = prediction.rank(pct=True)
        return np.select([rank > 0.9, rank < 0.1], ["BUY", "SELL"], "HOLD")


@faulty("no_look_ahead")
class NextPrediction(ByRow):
    def signal(self, prediction):
        later = prediction.groupby(level="symbol").shift(-1) if prediction.index.nlevels > 1 else prediction
        return np.where(later > 0.5, "BUY", "HOLD")


@faulty("missing_values")
class ElseSell(ByRow):
    def signal(self, prediction):
        return np.where(prediction > 0.0, "BUY", "SELL")


@faulty("missing_values")
class FilledWithZero(ByRow):
    def signal(self, prediction):
        return np.where(prediction.fillna(1.0) >= 0.5, "BUY", "HOLD")


@faulty("missing_values")
class DropsHoles(BaseSignalGenerator):
    def generate(self, predictions):
        known = predictions.dropna()
        return known.assign(signal=np.where(known["prediction"] > 0, "BUY", "SELL"))


@faulty("computes")
class OtherWords(ByRow):
    def signal(self, prediction):
        return np.where(prediction > 0.5, "LONG", "HOLD")


@faulty("computes")
class SortsRows(BaseSignalGenerator):
    def generate(self, predictions):
        ordered = predictions.sort_values("prediction", ascending=False)
        return ordered.assign(signal=np.where(ordered["prediction"] > 0.5, "BUY", "HOLD"))


@faulty("computes")
class InfiniteWeight(BaseSignalGenerator):
    def generate(self, predictions):
        weight = 1.0 / (predictions["prediction"] > 10.0).astype(float)
        return predictions.assign(signal="BUY", weight=weight)


@faulty("computes")
class NoSignalColumn(BaseSignalGenerator):
    def generate(self, predictions):
        return predictions.assign(decision="BUY")


@faulty("row_order")
class MixesSymbols(ByRow):
    """A rolling mean over the rows, whatever symbols they are of."""

    def signal(self, prediction):
        smooth = prediction.rolling(3, min_periods=1).mean()
        return np.where(smooth > 0.3, "BUY", "HOLD")


@faulty("row_order")
class TiesByPosition(ByRow):
    def signal(self, prediction):
        if prediction.index.nlevels == 1:
            return np.where(prediction > 0.5, "BUY", "HOLD")
        rank = prediction.groupby(level="time").rank(method="first", ascending=False)
        return np.where(rank <= 3, "BUY", "HOLD")


@faulty("symbols")
class RemembersLast(ByRow):
    def signal(self, prediction):
        before, self.last = getattr(self, "last", None), len(prediction)
        return np.where((prediction > 0.5) & (before is None), "BUY", "HOLD")


@faulty("symbols")
class RankedUntold(ByRow):
    """Ranks within each time, and does not say so."""

    def signal(self, prediction):
        if prediction.index.nlevels == 1:
            return np.where(prediction > 0.5, "BUY", "HOLD")
        rank = prediction.groupby(level="time").rank(method="min", ascending=False)
        return np.where(rank <= 3, "BUY", "HOLD")


@faulty("batch_equals_live")
class RollsUntold(ByRow):
    """Rolls within each symbol, and does not say that it needs the rows before."""

    def signal(self, prediction):
        if prediction.index.nlevels == 1:
            return np.where(prediction > 0.3, "BUY", "HOLD")
        smooth = prediction.groupby(level="symbol").transform(lambda p: p.rolling(3, min_periods=1).mean())
        return np.where(prediction.notna() & (smooth > 0.3), "BUY", "HOLD")


class Sectional(BaseSignalGenerator):
    """Three highest of each time are bought, by their rank from the top; a subclass says how that is found."""

    cross_section = True

    def generate(self, predictions):
        if "time" not in predictions:
            found = self.generate(predictions.reset_index())
            return predictions.assign(signal=found["signal"].to_numpy(), rank=found["rank"].to_numpy())
        place = self.place(predictions)
        known = predictions["prediction"].notna()
        return predictions.assign(signal=np.select([known & (place <= 3), known], ["BUY", "FLAT"], "HOLD"), rank=place)

    def place(self, rows):
        ordered = rows.sort_values("symbol")
        return ordered.groupby("time")["prediction"].rank(method="first", ascending=False).reindex(rows.index)


@clean
class TopThree(Sectional):
    pass


@clean
class DistanceFromTheMean(Sectional):
    """A number; exactly rounded, so that the order of rows says nothing."""

    def generate(self, predictions):
        rows = predictions if "time" in predictions else predictions.reset_index()
        ordered = rows.sort_values("symbol")
        mean = ordered.groupby("time")["prediction"].transform(lambda p: math.fsum(p.dropna()) / max(p.count(), 1))
        apart = ordered["prediction"] - mean
        return predictions.assign(signal=apart.clip(-1.0, 1.0).reindex(rows.index).to_numpy())


@faulty("row_order")
class SectionTiesByPosition(Sectional):
    def place(self, rows):
        return rows.groupby("time")["prediction"].rank(method="first", ascending=False)


@faulty("no_look_ahead")
class SectionRankedOverAll(Sectional):
    def place(self, rows):
        return rows["prediction"].rank(method="min", ascending=False) / 80


@faulty("other_times")
class SectionAgainstBefore(Sectional):
    """Ranks what a prediction is above the symbol's last one."""

    def place(self, rows):
        above = rows["prediction"] - rows.groupby("symbol")["prediction"].shift(1).fillna(0.0)
        ordered = rows.assign(prediction=above).sort_values("symbol")
        return ordered.groupby("time")["prediction"].rank(method="first", ascending=False).reindex(rows.index)


@faulty("absent_symbols")
class SectionCountsHoles(Sectional):
    """A third of all is bought, those without a prediction counted."""

    def place(self, rows):
        return super().place(rows) / rows.groupby("time")["symbol"].transform("size") * 9.0


@faulty("absent_symbols")
class SectionRanksHoles(Sectional):
    def place(self, rows):
        return super().place(rows).fillna(99.0)


@faulty("missing_values")
class SectionSellsHoles(Sectional):
    def generate(self, predictions):
        found = super().generate(predictions)
        return found.assign(signal=found["signal"].replace("HOLD", "FLAT"))


@faulty("batch_equals_live")
class SectionByIndexOnly(Sectional):
    """Looks for the symbols in the index, where a worker does not give them."""

    def generate(self, predictions):
        if predictions.index.nlevels == 1:
            return predictions.assign(signal="HOLD")
        return super().generate(predictions.reset_index()).set_index(["symbol", "time"])


@faulty("repeatable")
class RandomTies(ByRow):
    def signal(self, prediction):
        noise = np.random.normal(0.0, 0.3, len(prediction))
        return np.where(prediction + noise > 0.5, "BUY", "HOLD")


@faulty("input_untouched")
class WritesSignal(BaseSignalGenerator):
    def generate(self, predictions):
        predictions["signal"] = np.where(predictions["prediction"] > 0.5, "BUY", "HOLD")
        return predictions


@faulty("parameters")
class AnyBand(BaseSignalGenerator):
    """A limit of any size, even one that makes it fail."""

    class Params(Params):
        names: int = 1

    def generate(self, predictions):
        best = predictions["prediction"].nlargest(self.params["names"] + 1).index[0]
        return predictions.assign(signal=np.where(predictions["prediction"] > 9.0, "BUY", "HOLD"), best=str(best))


@faulty("reads_its_input_alone")
class AsOfToday(ByRow):
    """Trades on weekdays: those of the machine's clock."""

    def signal(self, prediction):
        return np.where((prediction > 0.5) & (datetime.now().weekday() < 9), "BUY", "HOLD")


@faulty("speed")
class CompiledItSays(ByRow):
    cost = "compiled"

    def signal(self, prediction):
        return np.where(prediction > 0.5, "BUY", "HOLD")
