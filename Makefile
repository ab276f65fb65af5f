# Pages: `make run` serves, `make test` tests. Settings come from config.toml and the environment,
# also given here: make run PAGES_PORT=8080 (but no password with a $, which make takes for its own).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PYTHON
# File names are UTF-8, whatever the locale.
export PYTHONUTF8 = 1

.DEFAULT_GOAL := help
.PHONY: help install wheel doctor run test faults check lint types backup backup-full drill verify clear-cache restart restore bench clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

install: $(VENV)/.run ## Create .venv and install the pinned dependencies (run does it by itself)

wheel: $(VENV)/.run ## Build dist/pages_server-….whl, which runs without this folder: docs/install.md
	@rm -rf build dist/pages_server-*.whl  # What is left of an older build would be packed as well.
	@$(BIN)/pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist .
	@ls dist/pages_server-*.whl

doctor: $(VENV)/.run ## Look for what would otherwise be found out late; changes nothing
	@$(BIN)/pages doctor $(ARGS)

run: $(VENV)/.run ## Serve, on http://localhost:1323 unless set otherwise
	@exec $(BIN)/gunicorn wsgi:app

test: $(VENV)/.test ## Install what the tests need and run them all: make test ARGS="-n 0 tests/test_cli.py"
	@scripts/install-test-packages
	$(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile $(ARGS)

faults: $(VENV)/.test ## Every fault at every point, and the fuzzers: make test runs a quick part of it
	@scripts/install-test-packages
	PAGES_TEST_THOROUGH=1 $(BIN)/pytest tests/faults tests/test_browser.py tests/test_console_browser.py tests/test_ci.py tests/client/test_large.py $(ARGS)

check: lint types test ## Everything CI runs: lint, types, tests

lint: $(VENV)/.test ## Ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.test ## Mypy, strict
	$(BIN)/mypy

backup: $(VENV)/.run ## Back up the database, or the registry, through the running service
	@$(BIN)/pages maintenance backup

backup-full: $(VENV)/.run ## Back up records, metadata and archives of all sites into one file
	@$(BIN)/pages backup --full

drill: $(VENV)/.run ## Restore the newest backup into a temporary place and compare: make drill FILE=…
	@$(BIN)/pages backup --drill $(if $(FILE),"$(FILE)")

verify: $(VENV)/.run ## Re-read everything on disk and say what is wrong: make verify ARGS="--repair --site default/blog"
	@$(BIN)/pages verify $(ARGS)

clear-cache: $(VENV)/.run ## Empty data/cache, through the running service
	@$(BIN)/pages maintenance clear-cache

restart: $(VENV)/.run ## Reload all workers gracefully (production), through the running service
	@$(BIN)/pages maintenance restart

restore: $(VENV)/.run ## Put a backup back: make restore FILE=backups/backup-….sql
	@test -n "$(FILE)" || { echo "Which backup? make restore FILE=backups/backup-….sql" >&2; exit 2; }
	@$(BIN)/pages restore $(if $(CLEAN),--clean) "$(FILE)"

bench: $(VENV)/.test ## Measure Pages beside what you would use instead: make bench ARGS="--full --picture docs/bench.svg"
	@scripts/install-test-packages
	@bench/install-peers
	@$(BIN)/python bench/run.py $(ARGS)

clean: ## Remove .venv and caches; data/ and backups/ stay
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(VENV)/.run: requirements.lock setup.cfg pyproject.toml
	@scripts/make-venv requirements.lock
	@touch $@

$(VENV)/.test: requirements.lock requirements-test.lock setup.cfg pyproject.toml
	@scripts/make-venv requirements-test.lock
	@touch $@
