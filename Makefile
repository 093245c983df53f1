# Every habit of the project has one door. `make` prints the list.
SHELL := /bin/sh
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Where a line no test reaches is a defect, not a number.
FULLY_COVERED := gateway/oauth/*,gateway/authorization.py,gateway/token_cache/sealing.py,gateway/forwarding/headers.py
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup demo run fmt lint types test check bench keycloak-up keycloak-down lock build clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

setup: $(STAMP) ## make the virtual environment from the lock file

$(STAMP): requirements/dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "bearergate needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements/dev.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

demo: setup ## gateway, identity provider and echo upstream on loopback, with curl lines to try
	@$(BIN)/bearergate demo

run: setup ## the gateway, configured by the environment
	@$(BIN)/bearergate run

fmt: setup ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: setup ## ruff and codespell
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/codespell

types: setup ## mypy, strict
	$(BIN)/mypy

test: setup ## all tests, with the coverage gate
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --fail-under=100 --include='$(FULLY_COVERED)'
	$(BIN)/coverage report

check: lint types ## what must be clean before a commit, beside the tests

bench: setup ## the gateway beside other proxies, measured; ARGS="--only bearergate,nginx --quick"
	@$(BIN)/python -m tests.benchmarks $(ARGS)

keycloak-up: setup ## a real Keycloak with the example realm, without Docker
	@$(BIN)/python scripts/keycloak.py up

keycloak-down: ## stop that Keycloak
	@$(BIN)/python scripts/keycloak.py down

lock: setup ## renew the lock files from pyproject.toml
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header --python-version 3.11 -o requirements/runtime.lock pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header --python-version 3.11 --group dev -o requirements/dev.lock pyproject.toml

build: setup ## sdist and wheel into dist/
	$(BIN)/python -m pip install --quiet build
	$(BIN)/python -m build --no-isolation

clean: ## remove what was made
	rm -rf $(VENV) dist build .coverage .coverage.* htmlcov .mypy_cache .ruff_cache .pytest_cache .hypothesis
