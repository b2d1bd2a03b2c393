#!/usr/bin/env bash
# exchange_calendars 4.13.2 beside pandas 3 has other sessions than beside pandas 2, mostly without an error.
#
# For whoever asks an exchange's calendar whether a day is a session (annualised figures, schedulers, gaps in data).
#   XBOM, XMOS   lose special sessions on weekends, silently: ``date_range`` of pandas 3.1 takes days from the week mask
#                of a CustomBusinessDay alone, and the library's offset of several week masks is a subclass of it
#   XTAE         does not build; beside pandas 3.0 it builds, with Hebrew holidays on western Easter
#   ASEX, XBEL, XBSE, XCYS   raise NotImplementedError: the hook `_apply` of an offset was renamed `_add_datetime`
# Seen on 2026-11-30 with exchange_calendars 4.13.2, pandas 2.3.3 and 3.1.1, Python 3.11. A mend that gives the sessions
# of pandas 2: set `_add_datetime` of the library's offsets to their `_apply`, and give a calendar of several week masks
# a plain CustomBusinessDay that is open on all days but the closed ones.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
for pandas in 2.3.3 3.1.1; do
    python3 -m venv "$folder/$pandas"
    "$folder/$pandas/bin/pip" install --quiet --disable-pip-version-check "pandas==$pandas" exchange_calendars==4.13.2
    "$folder/$pandas/bin/python" -W ignore - > "$folder/$pandas.txt" <<'PYTHON'
import exchange_calendars
import pandas as pd

print("exchange_calendars", exchange_calendars.__version__, "pandas", pd.__version__)
for name in ("XNYS", "XBOM", "XMOS", "XTAE", "ASEX", "XBEL", "XBSE", "XCYS"):
    try:
        sessions = exchange_calendars.get_calendar(name, start="2012-01-01", end="2025-12-31").schedule.index
        print(name, "sessions in 2012 to 2025:", len(sessions), "on weekends:", int((sessions.weekday > 4).sum()))
    except Exception as error:
        print(name, type(error).__name__)
PYTHON
    cat "$folder/$pandas.txt"
done
saw() { grep -qE "$2" "$folder/$1.txt" || { echo "changed: pandas $1 no longer gives '$2'"; exit 1; }; }
saw 2.3.3 "^XBOM .* on weekends: 2$"
saw 3.1.1 "^XBOM .* on weekends: 0$"
saw 2.3.3 "^XTAE sessions"
saw 3.1.1 "^XTAE ValueError"
for name in ASEX XBEL XBSE XCYS; do
    saw 2.3.3 "^$name sessions"
    saw 3.1.1 "^$name NotImplementedError"
done
