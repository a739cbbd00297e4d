# Needs git, make and python3 (3.11 or later, with venv). Everything is installed into .venv.
# PYTHON=python3.12 make ... chooses another interpreter; DEVICE=cuda make test runs the model tests on a GPU;
# WORKERS=1 make test runs them one after the other.

PYTHON ?= python3
DEVICE ?= cpu
WORKERS ?= auto
PYTEST_ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
CREATED := $(VENV)/.created
RUNTIME := $(VENV)/.runtime-installed
TESTING := $(VENV)/.testing-installed

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test lint format verification docs benchmark clean

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 20

demo: $(RUNTIME) ## Install, then train, embed, plot and evaluate the simulated demo into demo-out/
	$(BIN)/genovi demo --out demo-out --force

test: lint ## Install, then run the linters and the whole suite
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --device $(DEVICE) $(PYTEST_ARGS)

lint: $(TESTING) ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(TESTING) ## Rewrite the code in the house style
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

verification: $(TESTING) ## Run the slow statistical tests alone
	$(BIN)/python -m pytest --device $(DEVICE) -m verification $(PYTEST_ARGS)

docs: $(TESTING) ## Write the page of all commands and build the site into build/site
	$(BIN)/python docs/site/commands.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

benchmark: $(TESTING) ## Run the ancestry benchmark on real data (GENOVI_REAL_DATA)
	$(BIN)/python benchmarks/ancestry.py

clean: ## Remove the environment, caches and the demo's output
	rm -rf $(VENV) build dist demo-out *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(CREATED):
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "genovi needs Python 3.11 or later, not " + sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
	@touch $@

# torch first, by its exact version: pip then never considers another one.
$(RUNTIME): pyproject.toml setup.py constraints.txt | $(CREATED)
	@echo "Installing into $(VENV): once, and again when pyproject.toml or constraints.txt change. This takes minutes."
	$(PIP) install --quiet --constraint constraints.txt setuptools
	$(PIP) install --quiet --constraint constraints.txt "$$(grep '^torch==' constraints.txt)"
	$(PIP) install --quiet --constraint constraints.txt --no-build-isolation --editable .
	@touch $@

$(TESTING): $(RUNTIME)
	$(PIP) install --quiet --constraint constraints.txt --no-build-isolation --editable '.[test,docs,pgen,zarr,anndata]'
	@touch $@
