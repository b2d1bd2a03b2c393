#!/usr/bin/env bash
# Reading a Parquet file batch by batch keeps all that was read of it in memory, and Arrow's own count of bytes does not show it.
#
# For whoever reads files that are larger than memory with ParquetFile.iter_batches and lets go of each batch. With pre_buffer, which is
# True unless one says otherwise, the bytes of every row group stay until the reader is gone: a file of 128 MB costs 128 MB more, one of
# 2 GB more than 2 GB. Of a file that Python has opened, pyarrow.total_allocated_bytes() stays at 1 MB all the while, as the bytes are
# Python's; only the process' resident memory tells. One call of iter_batches for each row group, or pre_buffer=False, stays small.
# Seen on 2026-12-01 with pyarrow 26.0.1 and numpy 2.4.6, Python 3.11, on Linux (the resident memory is read from /proc).
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyarrow==26.0.1 numpy==2.4.6
cat > "$folder/read.py" <<'PYTHON'
import os
import sys

import pyarrow as pa
import pyarrow.parquet as pq


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6


how, path = sys.argv[1:]
file = pq.ParquetFile(open(path, "rb"), **({"pre_buffer": False} if how == "unbuffered" else {}))
groups = [[number] for number in range(file.num_row_groups)] if how == "groups" else [None]
before, most, counted = resident(), 0.0, 0
for group in groups:
    for batch in file.iter_batches(batch_size=50_000, row_groups=group):
        del batch
        most, counted = max(most, resident() - before), max(counted, pa.total_allocated_bytes())
print(f"{most:.0f} {counted / 1e6:.0f}")
PYTHON
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

folder = sys.argv[1]
print("pyarrow", pa.__version__, "numpy", np.__version__)
random = np.random.default_rng(0)
table = pa.table({name: random.random(200_000) for name in ("a", "b")})
with pq.ParquetWriter(f"{folder}/file.parquet", table.schema, compression="none", use_dictionary=False) as writer:
    for _ in range(40):
        writer.write_table(table)
used = {}
for how in ("whole", "groups", "unbuffered"):
    words = [sys.executable, f"{folder}/read.py", how, f"{folder}/file.parquet"]
    used[how], counted = map(int, subprocess.run(words, check=True, capture_output=True, text=True).stdout.split())
    print(f"{how}: {used[how]} MB more resident, {counted} MB by Arrow's count; the file has 128 MB")
if not (used["whole"] > 100 and used["groups"] < 60 and used["unbuffered"] < 60):
    print("changed: it no longer keeps what it has read, or the other ways do")
    sys.exit(1)
PYTHON
