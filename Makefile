# One entry to everything. Needs python3 (>= 3.11, with venv), git and make; `make help` lists the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# -qq keeps pip's remarks about its own settings away; errors are still shown.
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
PYTEST := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help setup check test demo bench docs clean distclean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: $(READY) ## make .venv with the tested versions (instant when nothing changed)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Quadrat needs Python 3.11 or newer, and '$(PYTHON)' is: $$($(PYTHON) --version 2>&1)." \
	       "Try: make PYTHON=/path/to/python3.11 $(or $(MAKECMDGOALS),setup)" >&2; exit 2; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "'$(PYTHON)' has no venv module, so no environment can be made." \
	       "Try: install it (on Debian and Ubuntu: apt install python3-venv)" >&2; exit 2; }
	@$(BIN)/python -c 'import pip' 2>/dev/null || { echo "setup: making $(VENV)"; $(PYTHON) -m venv --clear $(VENV); }
	@$(PIP) install --upgrade -c constraints.txt pip || echo "setup: pip was not upgraded; going on with the old one" >&2
	@# torch goes first, alone and pinned. Left to a range, pip may look at the newest torch and fetch gigabytes of
	@# accelerator packages before it settles. Where a CPU wheel can be reached, pip takes it: 2.13.0+cpu satisfies
	@# ==2.13.0 and sorts above 2.13.0.
	@echo "setup: installing torch (the large one)"
	@$(PIP) install -c constraints.txt torch==2.13.0
	@echo "setup: installing Quadrat and its tools"
	@$(PIP) install -c constraints.txt -e '.[studies,report,dev]'
	@touch $@
	@echo "setup: ready"

check: setup ## format, lint, import contracts, types: the fast ones first
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/basedpyright

test: check ## set-up, every check, every test
	$(PYTEST) -n 2 --dist loadfile

demo: setup ## one study from question to record and page; a second call finds everything done
	@# In a folder of its own: the record of the same study under experiments/ is somebody's work.
	@mkdir -p demo
	$(BIN)/quadrat --root demo run fluxem/arithmetic_small
	@echo; echo "The record and the page:"
	@$(BIN)/quadrat --root demo record draft fluxem/arithmetic_small
	@$(BIN)/quadrat --root demo report fluxem/arithmetic_small

bench: setup ## run every script in benchmarks/
	@for script in $(sort $(wildcard benchmarks/[a-z]*.py)); do \
	  echo "== $$script"; OMP_NUM_THREADS=1 $(BIN)/python "$$script" || exit 1; done

docs: setup ## check the pages: links, snippets, snapshots
	$(PYTEST) $(wildcard tests/docs) tests/house/test_pages.py tests/house/test_surfaces.py

clean: ## remove caches and build products; .venv, results and data stay
	rm -rf build dist site .pytest_cache .ruff_cache .hypothesis .import_linter_cache .grimp_cache
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## clean, and remove .venv too
	rm -rf $(VENV)
