# Everything that is needed is installed into .venv; uv lives in .tools, a venv of its own.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
UV := .tools/bin/uv
# `make test ARGS="-k name"` runs a part.
ARGS ?=
WORKERS ?= auto

.DEFAULT_GOAL := help
.PHONY: help setup run test bench soak lint format generate lock clean

help: ## List the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/\1\t\2/' | expand -t 10

setup: $(STAMP) ## Install everything into .venv

run: $(STAMP) ## Serve on 127.0.0.1:7990 with an embedded PostgreSQL
	@exec $(BIN)/pgtwind serve

test: $(STAMP) ## Run the whole test suite on a real PostgreSQL
	$(BIN)/pytest -n $(WORKERS) $(ARGS)

bench: $(STAMP) ## Measure the API and clones against PostgreSQL's limits, into README
	$(BIN)/python -m benchmarks.api $(ARGS)
	$(BIN)/python -m benchmarks.sql $(ARGS)
	$(BIN)/python -m benchmarks.upload
	$(BIN)/python -m benchmarks.export
	$(BIN)/python -m benchmarks.inspection
	$(BIN)/python -m benchmarks.client
	$(BIN)/python -m benchmarks.throwaway
	$(BIN)/python -m benchmarks.readme
	$(BIN)/python -m benchmarks.clone

soak: $(STAMP) ## Call a real service for half an hour and see that nothing grows
	$(BIN)/python -m benchmarks.soak $(ARGS)

lint: $(STAMP) ## Check style, types and the layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python client/generate.py --check

format: $(STAMP) ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

generate: $(STAMP) ## Write what of the client is made from the async one and from the service
	$(BIN)/python client/generate.py

lock: $(UV) ## Resolve pyproject.toml anew into requirements.lock
	$(UV) pip compile --quiet --universal --generate-hashes --upgrade --all-extras \
		--no-annotate --no-header --no-emit-index-url --no-emit-find-links \
		--python-version 3.11 pyproject.toml client/pyproject.toml --output-file requirements.lock

clean: ## Remove what setup installed
	rm -rf .venv .tools .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "pgtwin needs Python 3.11 or newer; set PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv .tools
	.tools/bin/pip install --quiet 'uv>=0.9'

$(STAMP): requirements.lock pyproject.toml client/pyproject.toml | $(UV)
	test -x $(BIN)/python || $(UV) venv --quiet --no-project --no-python-downloads \
		--python $(shell command -v $(PYTHON)) .venv
	$(UV) pip sync --quiet --python $(BIN)/python --compile-bytecode \
		--require-hashes requirements.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation \
		--editable . --editable client
	touch $@
