# make demo: the golden day on this machine. make test: everything that must hold.
PYTHON ?= python3.11
TARGET ?= duckdb
DATE ?= 2025-11-16
VENV := .venv
BIN := $(VENV)/bin
export DO_NOT_TRACK := 1

.PHONY: demo test check bench docs lock format clean

demo: $(VENV)/.ready
	$(BIN)/python orchestrate.py --date $(DATE) --target $(TARGET)

test: check
	# two workers and their processes crowd two cores: what fails there is tried once more, alone, and must pass
	$(BIN)/python -m pytest -n 2 --dist loadfile || $(BIN)/python -m pytest --last-failed --last-failed-no-failures none

check: $(VENV)/.ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/sqlfluff lint --processes 2 models tests/generic tests/singular

bench: $(VENV)/.ready
	$(BIN)/python -m benchmarks --target $(TARGET)

docs: $(VENV)/.ready
	$(BIN)/python orchestrate.py docs

format: $(VENV)/.ready
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# set-up happens once, and again when the lock changes
$(VENV)/.ready: requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	@touch $@

# needs uv; no index address ends up in the lock
lock:
	uv pip compile pyproject.toml --extra sandbox --extra dev --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-annotate --output-file requirements.lock

clean:
	rm -rf $(VENV) target logs runs reports archive warehouse.duckdb*
