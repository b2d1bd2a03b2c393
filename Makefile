# make demo and make test need Python 3.11 to 3.14 and make; everything else is put into .venv, from the lock files.

UV_VERSION := 0.13.9
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := schemas plugins streams backtest alphawire
# The newest supported Python among these names, or the one asked for: make PYTHON=python3.11 …
PYTHON := python3.14 python3.13 python3.12 python3.11 python3 python
# Version and path of each program in $(1) that is a supported Python. Each is started: pyenv has names for versions that are switched off.
# All at once, because such a name takes half a second; so each writes its line in one go.
pythons = { for name in $(1); do $$name -c 'import platform, sys; \
	(3, 11) <= sys.version_info[:2] <= (3, 14) and sys.stdout.write(platform.python_version() + " " + sys.executable + "\n")' 2>/dev/null & done; wait; }
CHOSEN := $(shell $(call pythons,$(PYTHON)) | sort -V | tail -n 1)
PYTHON_VERSION := $(firstword $(CHOSEN))
# The stamp of an empty environment. Another Python, or another uv, is another name: the environment is then made anew.
READY := $(VENV)/.python-$(PYTHON_VERSION)-uv-$(UV_VERSION)
PYENV := $(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions
# The system's certificates where there are any, as pip does: a network may have an authority of its own.
CERTIFICATES := $(if $(wildcard /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem),--system-certs)
INSTALL := $(BIN)/uv pip install --color never $(CERTIFICATES) --python $(BIN)/python
COMPILE := $(BIN)/uv pip compile $(CERTIFICATES) pyproject.toml --group build --python-version 3.11 --universal --generate-hashes \
	--no-annotate --no-emit-index-url --no-emit-find-links --quiet --custom-compile-command "make lock"

# Suites too long for `make test`, each a target of its own; .ci/run makes them all.
LONG_SUITES := faults scenarios
UNIT_TESTS := tests/schemas tests/plugins tests/backtest
KILL_TEST := tests/streams/test_kill.py::test_three_kills_change_nothing
FAULT_TESTS := tests/faults tests/streams/test_kill.py
# More processes than cores: for two thirds of its time, a test waits for a broker or a worker.
SHARED := --dist loadfile -n

# Where the environment forbids Python its bytecode cache, each start would compile pandas, numba and Faust anew: 7 s of 11.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo install test unit bench check compiled docs format lock clean long-suites faults-long nightly recorded mutation $(LONG_SUITES)
.SILENT:

help:
	echo "make demo    the whole of it on real bars, in about a minute (installs into .venv first)"
	echo "make install the libraries of every model, engine and scorer, PyTorch among them, into .venv"
	echo "make test    the tests, brokers included"
	echo "make faults, make scenarios   the long suites: sixty faults, every mistake put back; all shared data, TLS, the table of the kit"
	echo "make unit-3.13   the unit tests and one kill on another Python (3.11 to 3.14), in .venv-3.13"
	echo "make nightly   what CI has no time for: the same on the other broker, with more kills"
	echo "make faults-long   1,000 faults or an hour on Apache Kafka; the table goes to faults.md (FAULTS=, MINUTES=)"
	echo "make mutation   3,000 mutants of the core, against the tests that run them: an hour (ARGS='--only metrics': some)"
	echo "make recorded BEFORE=REVISION   that a change of shape changed no byte: one story by the code before, by that here, by both in turn (ARGS=)"
	echo "make bench   throughput, latency, memory, restore: each as a ratio to something measured in the same run (ARGS=--kafka: on Apache Kafka)"
	echo "make check   ruff, mypy, layers, JSON Schemas up to date"
	echo "make docs    the documentation as a site, in site/: open site/index.html, no network needed"
	echo "make format  ruff format, and what ruff can mend"
	echo "make lock    the lock files anew (UPGRADE=--upgrade: newest versions)"
	echo "PYTHON=python3.11   with any of these: on that Python; else on the newest of 3.11 to 3.14 that is here"
	echo "make clean   what was built and installed here"

demo: $(VENV)/.runtime
	$(BIN)/alphawire demo

install: $(VENV)/.dev

test: compiled
	$(BIN)/python -m pytest -m "not slow and not nightly" $(SHARED) 4 $(ARGS)

# Else each of the processes that a suite starts with compiles the same loops: 12 s of the processor in each.
compiled: $(VENV)/.dev
	$(BIN)/python -m tests.support.preloaded

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_layers.py tests/test_rooms.py
	$(BIN)/alphawire schemas --check

unit: compiled
	$(BIN)/python -m pytest -m "not slow and not nightly and not broker" -n 2 --dist loadfile $(UNIT_TESTS) $(ARGS)
	$(BIN)/python -m pytest $(KILL_TEST)

# An environment of its own for another Python, by its version; it says so where the machine has none.
venv-%:
	python="$$($(call pythons,python$* $(wildcard $(PYENV)/$*.*/bin/python$*)) | sort -V | tail -n 1)"; \
	if test -n "$$python"; then $(MAKE) VENV=.venv-$* PYTHON="$${python#* }" install; else echo "skipped: there is no Python $* here"; fi

unit-%: venv-%
	test ! -e .venv-$*/.dev || $(MAKE) VENV=.venv-$* PYTHON=.venv-$*/bin/python unit

docs: $(VENV)/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	echo "site/index.html"

faults: compiled
	$(BIN)/python -m pytest -m slow $(SHARED) 3 $(FAULT_TESTS) $(ARGS)

nightly: $(VENV)/.dev
	$(BIN)/python -m pytest -m nightly $(ARGS)

faults-long: $(VENV)/.dev
	$(BIN)/python -m tests.faults --faults $(or $(FAULTS),1000) --minutes $(or $(MINUTES),60) --out faults.md $(ARGS)

recorded: $(VENV)/.dev
	test -n "$(BEFORE)" || { echo "BEFORE= names the revision to compare with, or a checkout of it" >&2; exit 1; }
	$(BIN)/python -m tests.recorded --before $(BEFORE) $(ARGS)

mutation: $(VENV)/.mutation
	$(BIN)/python -m tests.mutation $(ARGS)

scenarios: compiled
	$(BIN)/python -m pytest -m slow $(SHARED) 3 $(FAULT_TESTS:%=--ignore %) $(ARGS)

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks $(ARGS)

long-suites:
	echo $(LONG_SUITES)

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(READY)
	$(COMPILE) $(UPGRADE) --extra lightgbm --extra backtest --extra embedded -o requirements.lock
	$(COMPILE) $(UPGRADE) --extra dev -c requirements.lock -o requirements-dev.lock
	$(COMPILE) $(UPGRADE) --group mutation -c requirements-dev.lock -o requirements-mutation.lock

clean:
	rm -rf $(VENV) .venv-3.* build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis demo-out site
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# What is installed is remembered by stamps, so that a second run starts at once. The development lock holds the other one entirely.
$(VENV)/.runtime: requirements.lock pyproject.toml $(READY)
	test -e $(VENV)/.dev -a $(VENV)/.dev -nt requirements.lock || { \
		echo "Installing what the demo needs into $(VENV) (about 700 MB, once)."; \
		$(INSTALL) --require-hashes --only-binary :all: -r requirements.lock && $(INSTALL) --no-deps --no-build-isolation -C editable_mode=compat -e .; }
	touch $@

$(VENV)/.dev: requirements-dev.lock pyproject.toml $(READY)
	echo "Installing what the tests need into $(VENV) (about 6 GB, PyTorch being most of it, once)."
	$(INSTALL) --require-hashes --only-binary :all: -r requirements-dev.lock
	$(INSTALL) --no-deps --no-build-isolation -C editable_mode=compat -e .
	touch $@

$(VENV)/.mutation: requirements-mutation.lock $(VENV)/.dev
	$(INSTALL) --require-hashes --only-binary :all: -r requirements-mutation.lock
	touch $@

$(READY):
	test -n "$(CHOSEN)" || { echo "alphawire needs Python 3.11 to 3.14, and none of these is one here: $(PYTHON)" >&2; exit 1; }
	$(lastword $(CHOSEN)) -c 'import ctypes, sys; sys.platform == "linux" and ctypes.CDLL("libgomp.so.1")' 2>/dev/null || { \
		echo "LightGBM needs the system library libgomp.so.1, which is missing: apt-get install libgomp1 (or your system's package of it)" >&2; exit 1; }
	test ! -e $(BIN)/python || echo "$(VENV) is made anew, with Python $(PYTHON_VERSION)."
	$(lastword $(CHOSEN)) -m venv --clear $(VENV) || { \
		echo "python -m venv failed: on Debian and Ubuntu, apt-get install python$(basename $(PYTHON_VERSION))-venv" >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	touch $@
