# make demo: measure 60 qumodes on the simulated bench.  make test: everything.
VENV ?= .venv
ifeq ($(OS),Windows_NT)
PYTHON ?= python
BIN := $(VENV)/Scripts
EXE := .exe
else
PYTHON ?= python3
BIN := $(VENV)/bin
endif

.PHONY: demo test lint bench clean

demo: $(VENV)/.installed
	$(BIN)/labctl run covariance-sweep --bench cluster-microcomb --title demo --runs runs
	$(BIN)/labctl plot last -o runs/demo.html --runs runs
	@echo "figures: runs/demo.html   data: $(BIN)/labctl show last   next: $(BIN)/labctl list"

test: $(VENV)/.tested lint
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(VENV)/.tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

bench: $(VENV)/.benched
	$(BIN)/python benchmarks/run.py

clean:
	rm -rf $(VENV) build dist *.egg-info

$(BIN)/python$(EXE):
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/python$(EXE)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[gui]"
	$(BIN)/python -c "open('$@', 'w')"

$(VENV)/.tested: pyproject.toml | $(BIN)/python$(EXE)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[gui,test]"
	$(BIN)/python -c "open('$@', 'w')"

$(VENV)/.benched: pyproject.toml | $(BIN)/python$(EXE)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[gui,test,bench]"
	$(BIN)/python -c "open('$@', 'w')"
