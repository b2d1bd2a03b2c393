"""What a desk outside of alphawire would write: it knows the base classes and nothing else."""

from plugins.features import feature_registry
from plugins.fold import FoldFeature


@feature_registry.register("mydesk_features.volume.share")
class VolumeShare(FoldFeature):
    """A bar's share of the volume so far: ``volume / sum of volumes``, 0 to 1; NaN before the first trade."""

    outputs = ("volume_share",)
    reads = ("volume",)

    def state(self):
        return [("total", "f8")]

    @staticmethod
    def step(state, bar, params, out):
        state.total += bar.volume
        if state.total > 0.0:
            out.volume_share = bar.volume / state.total
