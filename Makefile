# Each target sets up its own environment: Python 3.11 or newer, git and make are enough.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo demo-viewer test figures lint docs wheel bench bench-roi bench-modeling soak clean bench-receiving fuzz audit

demo: $(READY)
	@$(BIN)/osteonode demo

demo-viewer: $(READY)
	@$(BIN)/python -m bench.viewer

test: $(READY)
	@$(BIN)/python -m pytest -n 2 --dist worksteal --durations=20

figures: $(READY)
	@$(BIN)/python -m pytest -n 2 -m figures --durations=5

lint: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(MAKE) --no-print-directory docs
	@.ci/audit

docs: $(READY)
	@$(BIN)/python -m sphinx -q -n -W --keep-going -c docs -d build/doctrees . build/docs
	@echo "docs: build/docs/index.html"

wheel: $(READY)
	@.ci/wheel

bench: $(READY)
	@$(BIN)/python -m bench.pipeline

bench-receiving: $(READY)
	@$(BIN)/python -m bench.receiving
	@$(BIN)/python -m bench.turnaround

fuzz: $(READY)
	@OSTEONODE_FUZZ=full $(BIN)/python -m pytest -s tests/test_node_fuzz.py

audit: $(READY)
	@.ci/audit --strict

bench-roi: $(READY)
	@$(BIN)/python -m bench.roi

soak: $(READY)
	@$(BIN)/python -m bench.faults --kills 200
	@$(BIN)/python -m bench.load --minutes 30

bench-modeling: $(READY)
	@$(BIN)/python -m bench.modeling $(COHORT)

clean:
	rm -rf .venv .venv-audit .venv-wheel build demo-output dist docs/api

$(READY): pyproject.toml requirements.lock
	@echo "Setting up .venv (about a minute with a warm cache) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, found " + sys.version.split()[0])'
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c requirements.lock -e . --group dev --group docs
	@touch $@
