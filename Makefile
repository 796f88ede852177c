# `make demo` builds everything from a simulated hospital; `make test` runs every check.
# Either sets up .venv first, once; both need only Python 3.11+, make and a package index.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help setup demo test docs clean

help:
	@echo "make demo    set up, simulate a hospital, build three datasets, train a few steps"
	@echo "make test    set up, then ruff, mypy and pytest"
	@echo "make docs    set up, then the documentation as a site in build/docs"
	@echo "make setup   only .venv"
	@echo "make clean   remove build/"

setup: $(READY)

# uv installs in half a minute what pip resolves in minutes. A local folder of wheels that pip is
# told of (PIP_FIND_LINKS) is passed on to uv, which does not read pip's settings. Bytecode is
# compiled here, or each process would compile torch again.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $(PYTHON) is older than 3.11; run: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv .venv || \
	  { echo "error: no venv module; on Debian or Ubuntu: apt install python3-venv"; exit 1; }
	@echo "installing into .venv (about a minute; 3.4 GB with the CPU build of torch)"
	@$(BIN)/python -m pip install --quiet -c constraints.txt uv
	@if [ -n "$$PIP_FIND_LINKS" ] && [ -d "$$PIP_FIND_LINKS" ]; then export UV_FIND_LINKS="$$PIP_FIND_LINKS"; fi; \
	  $(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode \
	    -c constraints.txt -e '.[etl,train,browse,dev]' || \
	  { echo "error: the install failed; without uv: .venv/bin/pip install -c constraints.txt -e '.[etl,train,browse,dev]'"; exit 1; }
	@touch $@

demo: export MIMIC_IV_DIR :=
demo: export MIMIC_CXR_JPG_DIR :=
demo: $(READY)
	@$(BIN)/dvc repro ingest
	@$(BIN)/cxrfuture doctor
	@$(BIN)/cxrfuture plan
	@$(BIN)/dvc repro
	@$(BIN)/cxrfuture summary
	@echo; echo "First: source .venv/bin/activate"

test: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest

docs: $(READY)
	$(BIN)/sphinx-build -q -W -n -b html docs build/docs
	@echo "open build/docs/index.html"

clean:
	rm -rf build dvc.lock
