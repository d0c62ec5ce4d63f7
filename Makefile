# Everything lives in .venv, which the first target that needs it makes from pyproject.toml and constraints.txt.
PYTHON ?= python3
ARGS ?=
WORKERS ?= 4
SECONDS ?= 600
MINUTES ?= 45
DSN ?=
TARGETS ?=
SEED ?=
BIN := .venv/bin
.DEFAULT_GOAL := help
.PHONY: help demo test test-community lint docs bench campaigns soak fuzz clean

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 24

demo: .venv/.made ## Collect two days from 200 simulated meters into a database (ARGS="--keep", "--json", "--dsn ...")
	@$(BIN)/headend demo $(ARGS)

test: .venv/.made ## Run all tests against the real services (ARGS="tests/unit -k ...", WORKERS=4)
	@$(BIN)/pytest -n $(WORKERS) --dist worksteal --ignore=tests/bench $(ARGS)

test-community: .venv/.made ## Test what only TimescaleDB's Community edition does, in a database made for it on the server DSN="..."
	@HEADEND_COMMUNITY_DSN='$(DSN)' $(BIN)/pytest tests/community/community.py $(ARGS)

lint: .venv/.made ## Check style, types and which part imports which
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

docs: .venv/.made ## Make docs/commands.md of what the commands' --help says
	@$(BIN)/python .ci/commands.py > docs/commands.md

bench: .venv/.made ## Measure decoding, sessions and storing (ARGS="-k decode")
	@$(BIN)/pytest tests/bench $(ARGS)

campaigns: .venv/.made ## Run the campaigns in full, which takes hours, into docs/campaigns.md (SEED=..., ARGS="-k killed")
	@FULL_CAMPAIGNS=1 SEED='$(SEED)' $(BIN)/pytest tests/acceptance/campaigns $(ARGS)

soak: .venv/.made ## Run one daemon for MINUTES=45 with polls, pushes and faults; its curves into docs/soak.svg
	@MINUTES='$(MINUTES)' $(BIN)/pytest -s tests/soak/soak.py $(ARGS)

fuzz: .venv/.made ## Fuzz the receive paths, SECONDS=600 each (TARGETS="client push ...")
	@$(BIN)/python tests/fuzz/fuzz.py --seconds $(SECONDS) $(TARGETS)

clean: ## Stop this checkout's database and remove .venv and everything else that was made here
	@-tests/services/timescaledb.sh stop
	@rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.made: pyproject.toml constraints.txt
	@PYTHON='$(PYTHON)' .ci/venv
	@touch $@
