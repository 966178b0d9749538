# Audobon: `make run` does the main job on a sample page, `make test` proves the whole thing.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INPUT ?=
OPERATION ?= upscale
OUTPUT ?=
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help run test check infra format bench bench-queue storm-queue storm-storage setup lock cards samples cloud-fake clean

help: ## Show what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: $(VENV)/.run ## Upscale the sample page, or: make run INPUT=book.cbz [OPERATION=clean] [OUTPUT=...] [ARGS="--level 2"]
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh scripts/run.sh "$(OPERATION)" "$(INPUT)" "$(OUTPUT)" $(ARGS)

test: $(VENV)/.test ## Run every test
	$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/.test ## Format, lint, types and import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --config .importlinter

infra: $(VENV)/.test $(VENV)/.infra ## Hold infra/ against the provider's schema, our rules and checkov; no account, no network
	$(BIN)/python -m pytest tests/infra -m "" $(ARGS)

format: $(VENV)/.test ## Put the code into shape
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.bench ## Measure against goals and peers; writes benchmarks/results/
	$(BIN)/python benchmarks/run_all.py $(ARGS)

bench-queue: $(VENV)/.bench ## Measure the queue alone, at most 25 minutes; ARGS=--quick for a trial of 3
	$(BIN)/python benchmarks/bench_queue.py $(ARGS)

storm-queue: $(VENV)/.test ## Kill the queue's processes 500 times, cut the power 300 times, and count what was lost (some 8 minutes)
	$(BIN)/python storms/queue/run.py $(ARGS)

storm-storage: $(VENV)/.test ## Damage what is stored 10,000 times, and count what is not noticed or not mended; ARGS=--quick for a trial
	$(BIN)/python storms/storage/run.py $(ARGS)

setup: $(VENV)/.test ## Create the environment with everything but the peers

cards: $(VENV)/.test ## Measure the models anew and rewrite their cards
	$(BIN)/python benchmarks/admit_models.py $(ARGS)

cloud-fake: $(VENV)/.test ## Run a Google Cloud in effigy on this machine, and print the variables that lead there
	@PYTHONPATH=tests $(BIN)/python -m fakes $(ARGS)

samples: $(VENV)/.run ## Draw the sample comic anew
	$(BIN)/python samples/draw.py

lock: ## Pin the dependencies anew
	sh scripts/lock.sh

clean: ## Remove the environments and caches; what you made in out/ stays
	rm -rf $(VENV) .venv-infra .venv-peers build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/.run: requirements/run.txt requirements/build.txt pyproject.toml
	@PYTHON="$(PYTHON)" sh scripts/setup.sh run && touch $@

$(VENV)/.test: $(VENV)/.run requirements/test.txt
	@PYTHON="$(PYTHON)" sh scripts/setup.sh test && touch $@

$(VENV)/.infra: $(VENV)/.test requirements/infra.txt
	@PYTHON="$(PYTHON)" sh scripts/setup.sh infra && touch $@

$(VENV)/.bench: $(VENV)/.test requirements/bench.txt
	@PYTHON="$(PYTHON)" sh scripts/setup.sh bench && touch $@
