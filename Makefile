# Each target makes the environment first if it is missing or older than pyproject.toml or constraints.txt.
VENV   ?= .venv
PYTHON ?= python3
PYTEST_WORKERS ?= 2
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
export PATH := $(abspath $(BIN)):$(PATH)

.PHONY: help env repro study test test-slow lint ui bench clean
help:            ## this list
	@grep -hE '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

env: $(READY)    ## make the environment in .venv
$(READY): pyproject.toml constraints.txt requirements-no-deps.txt
	@echo "making the environment in $(VENV), a few minutes"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[video,physics,text,dev]'
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -r requirements-no-deps.txt
	@touch $@

repro: $(READY)  ## run what has changed: plain dvc repro
	$(BIN)/dvc repro

study: $(READY)  ## what of the studies is not finished, then what they say: make study [LINE=physics]
	$(BIN)/headrace run $(if $(LINE),'studies/dvc.yaml:study_$(LINE)*',studies/dvc.yaml)
	$(BIN)/headrace study $(LINE)

test: $(READY)   ## what is not marked slow, at most 5 minutes
	$(BIN)/pytest -q -m "not slow" -n $(PYTEST_WORKERS) --dist loadfile --no-loadscope-reorder --durations 20

test-slow: $(READY)  ## the rest: kills, floods, the real film
	$(BIN)/pytest -q -m slow -n $(PYTEST_WORKERS) --dist loadfile --no-loadscope-reorder --durations 20

lint: $(READY)   ## ruff check, ruff format --check, mypy over flows and tasks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

ui: $(READY)     ## the Prefect and MLflow pages on loopback; Ctrl-C ends both
	$(BIN)/headrace ui

bench: $(READY)  ## speed beside the peers; results go to bench/RESULTS.md
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[video,physics,text,dev,bench]'
	$(BIN)/python -m bench.video
	$(BIN)/python -m bench.video_shots
	$(BIN)/python -m bench.data_juicer
	$(BIN)/python -m bench.video_scale
	$(BIN)/python -m bench.duplicates
	$(BIN)/python -m bench.backends
	$(BIN)/python -m bench.orchestration
	$(BIN)/python -m bench.physics
	$(BIN)/python -m bench.physics_ingest
	$(BIN)/python -m bench.physics_solver
	$(BIN)/python -m bench.learning
	$(BIN)/python -m bench.text_claims
	$(BIN)/python -m bench.text_validators
	$(BIN)/python -m bench.text
	$(BIN)/python -m bench.vista
	$(BIN)/python -m bench.results

clean:           ## remove what can be made again, but nothing that was computed
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis dvc_plots
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
