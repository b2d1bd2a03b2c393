#!/usr/bin/env bash
# The rolling standard deviation of pandas does not come back to 0 after a large value has left the window.
#
# For whoever divides by it, or asks whether it is 0 (scores, barriers, halts in trading). pandas takes values out of
# running sums and puts others in, so what is left of a bad tick stays in all later windows, until the end of the series:
# here 600 equal closes, whose returns are all 0, have a deviation of 0.0027. For some series it does come back (a window
# of equal values is sometimes noticed), so that a test on one series proves nothing. Sums of each window by itself have
# no such memory: numpy on a sliding window view gives 0.
# Seen on 2026-11-30 with pandas 3.1.1 and numpy 2.4.6, Python 3.11.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pandas==3.1.1 numpy==2.4.6
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import pandas as pd

print("pandas", pd.__version__, "numpy", np.__version__)
walk = 100 * np.exp(np.cumsum(np.random.default_rng(1).normal(0, 0.01, 100)))
returns = pd.Series([*walk, walk[-1] * 1e6, *[walk[-1]] * 600]).pct_change()
running = returns.rolling(20).std().iloc[-1]
alone = np.lib.stride_tricks.sliding_window_view(returns.to_numpy(), 20)[-1].std(ddof=1)
print("the last 20 returns:", sorted(set(returns.iloc[-20:])))
print("rolling(20).std():", running, "each window by itself:", alone)
if not (running > 0.001 and alone == 0.0):
    print("changed: it comes back to 0")
    sys.exit(1)
PYTHON
