# The common tasks. `make` alone lists them.
PYTHON ?= python3
BIN := .venv/bin
# A file of tests stays with one worker, which sets its servers and databases up once.
PARALLEL := -n 2 --dist loadfile --no-loadscope-reorder
# Kills and faults wait for each other's processes: a third worker fills the gaps.
PARALLEL_LONG := -n 3 --dist loadfile --no-loadscope-reorder
# Recorded bars that `make check` runs through the whole pipeline; never the servers of a user's settings.
CHECK_FILES ?= tests/fixtures/universe/*.csv
CHECK := env -u DATABASE_URL -u REDIS_URL SETTINGS_FILE= DATA_DIR=data/check $(BIN)/trading-platform
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export DAGSTER_DISABLE_TELEMETRY := yes
# Each process would compile all its modules again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo demo-ui test test-all unit check dev lint bench clean
.DEFAULT_GOAL := help

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile

# Rebuilt when its inputs change; uv installs in seconds, pip in a minute.
.venv/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is required; choose one with PYTHON=python3.12 make …"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { echo "Creating .venv failed. On Debian: apt-get install python3-venv"; rm -rf .venv; exit 1; }
	@echo "Installing into .venv (once, about a minute) …"
	@$(BIN)/python -m pip install --quiet uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

demo: .venv/.installed ## Run the platform on an invented market, in about a minute
	@$(BIN)/trading-platform demo

demo-ui: .venv/.installed ## The same in the Dagster UI, with its exchange, until Ctrl-C
	@$(BIN)/trading-platform demo --ui

test: .venv/.installed ## Run the tests of everything a change can break
	@$(BIN)/python -m pytest -q $(PARALLEL) -m "not exhaustive"

test-all: test ## The same, then kills, sweeps and long properties
	@TEST_THOROUGH=1 $(BIN)/python -m pytest -q $(PARALLEL_LONG) -m "exhaustive or property"

unit: .venv/.installed ## Run the tests that need no server
	@$(BIN)/python -m pytest -q -n 2 tests/unit -m "not slow and not exhaustive"

check: .venv/.installed ## Materialize the files of CHECK_FILES in a directory of their own; fail on a failed check
	@$(CHECK) down --force --purge >/dev/null
	@trap '$(CHECK) down --force --purge >/dev/null; rm -rf data/check' EXIT; \
		$(CHECK) import $(CHECK_FILES) && $(CHECK) backfill && $(CHECK) verify

dev: .venv/.installed ## Open the Dagster UI on http://127.0.0.1:3000
	@$(BIN)/trading-platform dev

lint: .venv/.installed ## Check style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: .venv/.installed ## Run the benchmarks, one after the other
	@for file in benchmarks/bench_*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

clean: ## Stop the embedded servers and delete data and .venv
	@test ! -x $(BIN)/trading-platform || $(BIN)/trading-platform down --force --purge >/dev/null || true
	@test ! -x $(BIN)/trading-platform || DATA_DIR=data/demo $(BIN)/trading-platform down --force --purge >/dev/null || true
	rm -rf .venv data .pytest_cache .mypy_cache .ruff_cache .hypothesis
