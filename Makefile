# Two commands do everything on a machine with git, make and Python 3.11 or newer: `make demo` and `make test`.

SHELL := /bin/sh
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
WORKERS ?= $(shell nproc 2>/dev/null || echo 2)
DEBIAN := prometheus prometheus-alertmanager chromium

.DEFAULT_GOAL := help
.PHONY: help demo test lint types check fast generate migration packages clean bench bench-sync

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(VENV)/.python:
	@[ -n "$(PYTHON)" ] || { echo "Python 3.11 or newer is needed: install it, or name it with make PYTHON=/path/to/python3." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
	  echo "This Python has no ensurepip; installing python3-venv."; \
	  $(call as-root,apt-get install -y -qq --no-install-recommends python3-venv) >/dev/null || { \
	    echo "Install it by hand (Debian, Ubuntu: apt-get install python3-venv), then repeat." >&2; exit 1; }; }
	@echo "Making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

# Root itself, or sudo that asks nothing; else the command fails and the caller says what that means.
as-root = { if [ "$$(id -u)" = 0 ]; then DEBIAN_FRONTEND=noninteractive $(1); elif command -v sudo >/dev/null 2>&1; then sudo -n DEBIAN_FRONTEND=noninteractive $(1); else false; fi; }

$(VENV)/.demo: $(VENV)/.python pyproject.toml
	@echo "Installing b24metrics (a minute on a fresh machine)"
	@$(PIP) install -e '.[exporter,sim]'
	@touch $@

$(VENV)/.dev: $(VENV)/.python pyproject.toml
	@echo "Installing b24metrics with everything its tests need (some minutes on a fresh machine)"
	@$(PIP) install -e '.[dev]'
	@touch $@ $(VENV)/.demo

demo: $(VENV)/.demo  ## practice portal, backfill, exporter: numbers in a browser, Ctrl-C ends it
	@exec $(BIN)/b24exporter demo $(DEMO)

packages:
	@missing=""; for p in $(DEBIAN); do command -v $$p >/dev/null 2>&1 || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then \
	  echo "Installing Debian packages:$$missing"; \
	  { command -v apt-get >/dev/null 2>&1 && $(call as-root,apt-get update -qq) && \
	    $(call as-root,apt-get install -y -qq --no-install-recommends $$missing); } >/tmp/b24metrics-apt.log 2>&1 || \
	  echo "Could not install$$missing: tests that need them will be skipped (with CI=true they fail)."; \
	fi

test: $(VENV)/.dev packages lint  ## everything that must hold: style, types, floors, tests
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(PYTEST)

fast: $(VENV)/.dev  ## the tests that start no other program
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not real" $(PYTEST)

campaign: $(VENV)/.dev  ## kill -9 at 200 moments, every fault everywhere: mirror == portal (half an hour)
	@$(BIN)/python -m tests.campaign.kills $(CAMPAIGN)
	@B24_CAMPAIGN=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal tests/campaign/test_faults.py

lint: $(VENV)/.dev  ## ruff, mypy, import floors
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo --no-cache >/tmp/b24metrics-floors.$$$$ 2>&1 || { cat /tmp/b24metrics-floors.$$$$; exit 1; }; rm -f /tmp/b24metrics-floors.$$$$

generate: $(VENV)/.dev  ## rebuild the committed files: dashboards, rules, pages of docs/
	@$(BIN)/b24grafana build
	@$(BIN)/python docs/generate.py

migration: $(VENV)/.dev  ## write the mirror's next migration from mirror/schema.py
	@$(BIN)/python docs/migration.py $(FIRST)

bench-sync: $(VENV)/.dev  ## what copying a portal costs it, against its bounds (half an hour)
	@failed=0; for what in limits requests day memory; do $(BIN)/python benchmarks/sync.py $$what || failed=1; done; exit $$failed

clean:  ## remove environment, caches and the demo's data
	@rm -rf $(VENV) .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .benchmarks
