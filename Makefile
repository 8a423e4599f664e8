# Two commands for a newcomer: `make lab` and `make test`. Both set up .venv first, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
RUNTIMES := .venv-runtimes
PIP = $(BIN)/python -m pip install --quiet --no-compile
WORKERS := $(shell $(PYTHON) -c "import os; print(min(6, 2 + (os.cpu_count() or 1)))") # one or two wait, as for a kernel
PYTEST = $(BIN)/python -m pytest $(PYTEST_OPTIONS)

export PYTHONDONTWRITEBYTECODE = # or every process compiles all that it imports again

.PHONY: lab test test-runtimes check browser clean

lab: $(STAMP)
	$(BIN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) --LabApp.default_url=/lab/tree/notebooks/00_quickstart.ipynb $(LAB_OPTIONS)

test: export OMP_NUM_THREADS = 1
test: $(STAMP) browser # beside each other: a browser waits for half of the time, the soak for most of it
	$(MAKE) check & jobs=$$!; \
	$(PYTEST) -q tests/soak & jobs="$$jobs $$!"; \
	$(PYTEST) -q tests/e2e -m browser & jobs="$$jobs $$!"; \
	$(PYTEST) -q -m "not browser" --ignore=tests/soak -n $(WORKERS) --dist loadfile --no-loadscope-reorder; tests=$$?; \
	for job in $$jobs; do wait $$job || tests=1; done; exit $$tests

test-runtimes: export OMP_NUM_THREADS = 1
test-runtimes: $(RUNTIMES)/.installed # by hand: what other tools make of exported files
	$(RUNTIMES)/bin/python -m pytest $(PYTEST_OPTIONS) -q -W default tests/runtimes

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

$(RUNTIMES)/.installed: $(STAMP) tests/runtimes/requirements.txt # beside the packages of .venv, none twice
	test -x $(RUNTIMES)/bin/python || $(BIN)/python -m venv $(RUNTIMES)
	$(BIN)/python -c "import sysconfig; print(f'import site; site.addsitedir({sysconfig.get_path(\"purelib\")!r})')" \
	  > $$($(RUNTIMES)/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")/beside.pth
	$(RUNTIMES)/bin/python -m pip install --quiet --no-compile -c constraints.txt -r tests/runtimes/requirements.txt
	$(RUNTIMES)/bin/python -W ignore -c "import aimet_onnx, openvino, qonnx"
	touch $@

clean:
	rm -rf $(VENV) $(RUNTIMES) .pytest_cache .mypy_cache .ruff_cache .hypothesis test-results
