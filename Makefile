# make chat   set up .venv and talk to the committed agent; nothing is trained
# make run    set up .venv from the lock and run the pipeline
# make check  lint and the quick tests: two minutes, before every commit
# make test   set up .venv from the locks and run all checks and tests
# make home   train on the tools of examples/home beside your work, then chat with the house (SCALE=smoke: a trial)
# make reference  write dvc.yaml, docs/reference/ and the tables of results in the docs anew
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
COVERAGE_FLOOR := 90
# Tests use one thread each; files are shared out to two processes, the slow ones first.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: chat run home check test lint reference clean venv oracles
.DEFAULT_GOAL := run

chat: venv
	$(BIN)/agent-forge chat agents/tiny.forge

run: venv
	$(BIN)/agent-forge run

# An experiment of DVC's runs in a copy of its own: params.yaml and models/ stay as they are. One of an earlier day makes
# room; stages that are as they were come from the cache.
home: export PATH := $(CURDIR)/$(BIN):$(PATH)
home: venv
	if dvc exp list --name-only | grep -qx home; then dvc exp remove -q home; fi
	dvc exp run --temp -n home -S data.tools=examples/home/tools.yaml $(if $(SCALE),-S scale=$(SCALE))
	mkdir -p build/home
	dvc get -f . models/compress/agent.forge --rev home -o build/home/agent.forge
	agent-forge chat build/home/agent.forge --tools-file examples/home/tools.yaml

check: lint
	$(PYTEST) -m "not slow and not long"

test: lint
	$(PYTEST) --durations=20 --cov --cov-config=pyproject.toml --cov-report=term --cov-fail-under=$(COVERAGE_FLOOR)

lint: oracles
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

reference: venv
	$(BIN)/python -m forge.pipeline.upkeep.reference

venv: $(VENV)/.installed

oracles: $(VENV)/.oracles

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; try: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)

# Byte code is made of what is imported, when it is: of all packages it would take as long as their installation.
# The stamps are as old as the last installation: a newer lock installs again, an unchanged one costs nothing.
$(VENV)/.installed: requirements.lock pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --no-compile -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-compile --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.oracles: requirements-oracles.lock $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --no-compile --no-deps -r requirements-oracles.lock
	@touch $@

clean:
	rm -rf .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
