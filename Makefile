# make demo: the golden day on this machine. make test: everything that must hold. make soak: the same, larger and oftener.
PYTHON ?= python3.11
TARGET ?= duckdb
DATE ?= 2025-11-16
VENV := .venv
BIN := $(VENV)/bin
export DO_NOT_TRACK := 1
# a day is five processes: compiling the same modules in each costs more than the day's work
export PYTHONDONTWRITEBYTECODE :=
# the checks side by side
MAKEFLAGS += --jobs=2

.PHONY: demo test pytest soak check style types sql bench docs lock format clean

demo: $(VENV)/.ready
	$(BIN)/python orchestrate.py --date $(DATE) --target $(TARGET)

# each file stays with one worker, which has its days and servers; tests/python/conftest.py puts the longest first
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# the tests begin while the slowest check is still at it
test: check pytest

pytest: $(VENV)/.ready
	$(PYTEST)

soak: $(VENV)/.ready
	$(PYTEST) -m soak

check: style types sql

style: $(VENV)/.ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.ready
	$(BIN)/mypy

sql: $(VENV)/.ready
	$(BIN)/sqlfluff lint --processes 1 models tests/generic tests/singular

bench: $(VENV)/.ready
	$(BIN)/python -m benchmarks --target $(TARGET)

docs: $(VENV)/.ready
	$(BIN)/python orchestrate.py docs

format: $(VENV)/.ready
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# set-up happens once, and again when the lock changes; Python compiles what is used, when it is used first
$(VENV)/.ready: requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes --no-deps -r requirements.lock
	@touch $@

# needs uv; no index address ends up in the lock
lock:
	uv pip compile pyproject.toml --extra sandbox --extra dev --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-annotate --output-file requirements.lock

clean:
	rm -rf $(VENV) target logs runs reports archive warehouse.duckdb*
