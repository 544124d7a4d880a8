# One environment in .venv, set up on first use. `make help` lists the targets.

PYTHON ?= python3
RUN := .venv/bin/python
# Workers share the cores: with one thread each for linear algebra they do not wait for each other.
TEST := OMP_NUM_THREADS=1 $(RUN) -m pytest -q -n auto

# The stamp's name holds what the environment was made from, and where: when the pins or the
# folder change there is no such stamp, and the environment is made anew. It is written last, so
# a set-up that failed or was interrupted is done again.
READY := .venv/ready-$(shell { pwd; cat requirements.txt pyproject.toml; } | cksum | cut -d ' ' -f 1)

.DEFAULT_GOAL := help
.PHONY: help reports test lab refresh format bench pins

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

reports: $(READY)  ## run every notebook: pages, and an index, in reports/
	$(RUN) -m gmmlab report

test: $(READY)  ## lint, unit tests, doctests, runs made twice, pages in a browser, nbval
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check
	$(TEST) --dist worksteal tests gmmlab
	$(TEST) --dist loadfile --nbval notebooks

lab: $(READY)  ## open JupyterLab on the notebooks
	$(RUN) -m jupyterlab --ServerApp.root_dir=. --LabApp.default_url=/lab/tree/notebooks

refresh: $(READY)  ## execute the committed notebooks in place
	$(RUN) -m gmmlab refresh
	$(RUN) -m gmmlab refresh notebooks/assignments/source/*/*.ipynb

format: $(READY)  ## put code and notebooks into the house style
	$(RUN) -m ruff check --fix
	$(RUN) -m ruff format

bench: $(READY)  ## measure EM against its peers, what fits say of themselves, and runs
	$(RUN) -m uv pip install --quiet --editable '.[bench]'
	$(RUN) benchmarks/em.py
	$(RUN) benchmarks/convergence.py
	$(RUN) benchmarks/runs.py

pins: $(READY)  ## make requirements.txt anew from the ranges in pyproject.toml
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
