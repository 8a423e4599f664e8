# Two commands for a newcomer: `make lab` and `make test`. Both set up .venv first, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP = $(BIN)/python -m pip install --quiet --no-compile
WORKERS := $(shell $(PYTHON) -c "import os; print(min(4, 1 + (os.cpu_count() or 1)))") # one waits, as for a disk
PYTEST = $(BIN)/python -m pytest $(PYTEST_OPTIONS)

export PYTHONDONTWRITEBYTECODE = # or every process compiles all that it imports again

.PHONY: lab test check browser clean

lab: $(STAMP)
	$(BIN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) --LabApp.default_url=/lab/tree/notebooks/00_quickstart.ipynb $(LAB_OPTIONS)

test: export OMP_NUM_THREADS = 1
test: $(STAMP) browser # beside each other: a browser waits for half of the time, the soak for most of it
	$(MAKE) check & jobs=$$!; \
	$(PYTEST) -q tests/soak & jobs="$$jobs $$!"; \
	$(PYTEST) -q tests/e2e -m browser & jobs="$$jobs $$!"; \
	$(PYTEST) -q -m "not browser" --ignore=tests/soak -n $(WORKERS) --dist loadfile; tests=$$?; \
	for job in $$jobs; do wait $$job || tests=1; done; exit $$tests

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/nbstripout --verify notebooks/*.ipynb

browser: $(STAMP)
	sh tools/install_browser.sh $(BIN)/playwright

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'nemo_lab needs Python 3.11 or newer; try make PYTHON=python3.11')"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade pip
	$(PIP) -c constraints.txt torch torchvision
	$(PIP) -c constraints.txt -e ".[dev]"
	$(BIN)/python -c "import nemo_lab.cost.kernels, nemo_lab.quantize.kernels, nemo_lab.search.surrogate.icm, nemo_lab.search.surrogate.kernels" # compiled once, so that the first search does not wait
	touch $(STAMP)

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis test-results
