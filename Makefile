# Each target first sets up one environment in .venv, if it is not there yet. See `make help`.

PYTHON ?= python3
RUN := .venv/bin/python
# One thread for linear algebra in each worker: the workers already use all cores.
TEST := OMP_NUM_THREADS=1 $(RUN) -m pytest -q -n auto

# This file marks a finished set-up. Its name has a checksum of the pins, pyproject.toml and the
# folder: when one of these changes, or a set-up was interrupted, the environment is made again.
READY := .venv/ready-$(shell { pwd; cat requirements.txt pyproject.toml; } | cksum | cut -d ' ' -f 1)

.DEFAULT_GOAL := help
.PHONY: help reports test quick lab refresh format bench pins

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

reports: $(READY)  ## run every notebook; write its page, and an index, to reports/
	$(RUN) -m gmmlab report

test: $(READY)  ## run all checks: lint, imports, unit tests, doctests, browser tests, notebooks
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check
	$(TEST) --dist worksteal tests gmmlab
	$(TEST) --dist loadfile --nbval notebooks

quick: $(READY)  ## run the tests of the core, in less than a minute
	$(RUN) -m ruff check
	$(TEST) --dist worksteal tests/test_*.py tests/covariance tests/engine tests/convergence

lab: $(READY)  ## open JupyterLab on the notebooks
	$(RUN) -m jupyterlab --ServerApp.root_dir=. --LabApp.default_url=/lab/tree/notebooks

refresh: $(READY)  ## execute the committed notebooks again, in place
	$(RUN) -m gmmlab refresh
	$(RUN) -m gmmlab refresh notebooks/assignments/source/*/*.ipynb

format: $(READY)  ## format code and notebooks
	$(RUN) -m ruff check --fix
	$(RUN) -m ruff format

bench: $(READY)  ## measure speed against other implementations, convergence estimates, and runs
	$(RUN) -m uv pip install --quiet --editable '.[bench]'
	$(RUN) benchmarks/em.py
	$(RUN) benchmarks/tasks.py
	$(RUN) benchmarks/convergence.py
	$(RUN) benchmarks/runs.py

pins: $(READY)  ## update requirements.txt to the newest versions that pyproject.toml allows
	$(RUN) -m uv pip compile -q --universal --fork-strategy fewest --upgrade --no-header \
	    --no-annotate --extra dev --output-file requirements.txt pyproject.toml

$(READY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || { echo "gmmlab needs Python 3.11 or newer; name one: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv --clear .venv
	$(RUN) -m pip install --quiet $$(grep '^uv==' requirements.txt) \
	    && $(RUN) -m uv pip install --quiet --compile-bytecode -r requirements.txt --editable . \
	    || $(RUN) -m pip install --quiet -r requirements.txt --editable .
	@touch $@
