# make demo and make test need Python 3.11 and make; everything else is put into .venv, from the lock files.

UV_VERSION := 0.13.9
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := schemas plugins streams backtest alphawire
# Python 3.11 under any of its names: a newer one is of no use, some of the libraries do not run on it.
PYTHON := $(shell for p in python3.11 python3 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null && echo $$p && break; done)
# The system's certificates where there are any, as pip does: a network may have an authority of its own.
CERTIFICATES := $(if $(wildcard /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem),--system-certs)
INSTALL := $(BIN)/uv pip install --color never $(CERTIFICATES) --python $(BIN)/python
COMPILE := $(BIN)/uv pip compile $(CERTIFICATES) pyproject.toml --group build --python-version 3.11 --python-platform linux --generate-hashes \
	--no-annotate --no-emit-index-url --no-emit-find-links --quiet --custom-compile-command "make lock"

# Suites too long for `make test`, each a target of its own; .ci/run makes them all.
LONG_SUITES := faults scenarios
FAULT_TESTS := tests/faults tests/streams/test_kill.py

# Where the environment forbids Python its bytecode cache, each start would compile pandas, numba and Faust anew: 7 s of 11.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo install test bench check format lock clean long-suites faults-long nightly recorded $(LONG_SUITES)
.SILENT:

help:
	echo "make demo    the whole of it on real bars, in about a minute (installs into .venv first)"
	echo "make install the libraries of every model, engine and scorer, PyTorch among them, into .venv"
	echo "make test    the tests, brokers included"
	echo "make faults, make scenarios   the long suites: sixty faults, every mistake put back; all shared data, TLS, the table of the kit"
	echo "make nightly   what CI has no time for: the same on the other broker, with more kills"
	echo "make faults-long   1,000 faults or an hour on Apache Kafka; the table goes to faults.md (FAULTS=, MINUTES=)"
	echo "make recorded BEFORE=REVISION   that a change of shape changed no byte: one story by the code before, by that here, by both in turn (ARGS=)"
	echo "make bench   throughput, latency, memory, restore: each as a ratio to something measured in the same run (ARGS=--kafka: on Apache Kafka)"
	echo "make check   ruff, mypy, layers, JSON Schemas up to date"
	echo "make format  ruff format, and what ruff can mend"
	echo "make lock    the lock files anew (UPGRADE=--upgrade: newest versions)"
	echo "make clean   what was built and installed here"

demo: $(VENV)/.runtime
	$(BIN)/alphawire demo

install: $(VENV)/.dev

test: $(VENV)/.dev
	$(BIN)/python -m pytest -m "not slow and not nightly" -n 2 --dist loadfile $(ARGS)

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_layers.py
	$(BIN)/alphawire schemas --check

faults: $(VENV)/.dev
	$(BIN)/python -m pytest -m slow -n 2 --dist loadfile $(FAULT_TESTS) $(ARGS)

nightly: $(VENV)/.dev
	$(BIN)/python -m pytest -m nightly $(ARGS)

faults-long: $(VENV)/.dev
	$(BIN)/python -m tests.faults --faults $(or $(FAULTS),1000) --minutes $(or $(MINUTES),60) --out faults.md $(ARGS)

recorded: $(VENV)/.dev
	test -n "$(BEFORE)" || { echo "BEFORE= names the revision to compare with, or a checkout of it" >&2; exit 1; }
	$(BIN)/python -m tests.recorded --before $(BEFORE) $(ARGS)

scenarios: $(VENV)/.dev
	$(BIN)/python -m pytest -m slow -n 2 --dist loadfile $(FAULT_TESTS:%=--ignore %) $(ARGS)

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks $(ARGS)

long-suites:
	echo $(LONG_SUITES)

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(VENV)/.uv-$(UV_VERSION)
	$(COMPILE) $(UPGRADE) --extra lightgbm --extra backtest --extra embedded -o requirements.lock
	$(COMPILE) $(UPGRADE) --extra dev -c requirements.lock -o requirements-dev.lock

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis demo-out
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# What is installed is remembered by stamps, so that a second run starts at once. The development lock holds the other one entirely.
$(VENV)/.runtime: requirements.lock pyproject.toml $(VENV)/.uv-$(UV_VERSION)
	test -e $(VENV)/.dev -a $(VENV)/.dev -nt requirements.lock || { \
		echo "Installing what the demo needs into $(VENV) (about 700 MB, once)."; \
		$(INSTALL) --require-hashes --only-binary :all: -r requirements.lock && $(INSTALL) --no-deps --no-build-isolation -C editable_mode=compat -e .; }
	touch $@

$(VENV)/.dev: requirements-dev.lock pyproject.toml $(VENV)/.uv-$(UV_VERSION)
	echo "Installing what the tests need into $(VENV) (about 6 GB, PyTorch being most of it, once)."
	$(INSTALL) --require-hashes --only-binary :all: -r requirements-dev.lock
	$(INSTALL) --no-deps --no-build-isolation -C editable_mode=compat -e .
	touch $@

$(VENV)/.uv-$(UV_VERSION):
	test -n "$(PYTHON)" || { echo "alphawire needs Python 3.11: neither python3.11 nor python3 here is that version" >&2; exit 1; }
	$(PYTHON) -c 'import ctypes, sys; sys.platform == "linux" and ctypes.CDLL("libgomp.so.1")' 2>/dev/null || { \
		echo "LightGBM needs the system library libgomp.so.1, which is missing: apt-get install libgomp1 (or your system's package of it)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV) || { echo "python -m venv failed: on Debian and Ubuntu, apt-get install python3.11-venv" >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	touch $@
