# make demo   environment, simulated marketplace, the whole road, a served REST answer, a report
# make test   environment, all tests but the slow ones
# make slow   environment, the slow tests: whole runs of the road, killed jobs, runners
# make lint   environment, ruff, format, types
# Another interpreter: make PYTHON=python3.12 demo

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PYTEST := $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile
VERSION := $(shell $(PYTHON) -c 'import sys; print("py%d%d" % sys.version_info[:2])')
CONSTRAINTS := constraints/$(VERSION).txt

export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: demo test slow lint clean

demo: $(INSTALLED)
	$(BIN)/tfmm run recipes/demo.yaml

test: $(INSTALLED)
	$(PYTEST) -m 'not slow'

slow: $(INSTALLED)
	$(PYTEST) -m slow

lint: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

$(INSTALLED): setup.cfg pyproject.toml $(wildcard constraints/*.txt)
	@test -f $(CONSTRAINTS) || { \
	  echo "tfmm is tested with Python 3.11 and 3.12. Received: $(VERSION). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.8'
	$(BIN)/uv pip install --quiet --python $(BIN)/python -c $(CONSTRAINTS) -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) out build *.egg-info
