# make install   .venv with the `prunescope` command        make run     everything on this machine, with a demo
# make test      all tests (Chromium included)              make check   format, lint, types (scripts too), import contracts
# make bench     measure: tables into docs/results.md, numbers into benchmarks/results
# make test-installed   the pages and the API from the built wheel
# make picture   the pictures of README and tour anew (docs/)
# Only relative paths and `python -m`: the checkout may lie in a folder with spaces in its name.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
LOCK := requirements.lock
# Three on two cores: tests wait for child processes a third of the time.
TEST_PROCESSES ?= 3
# One thread for each process: with more the numeric tests take a fifth longer. The process that a hanging test ends is not started again.
ALL_TESTS = OMP_NUM_THREADS=1 $(PY) -m pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder --max-worker-restart 0

.DEFAULT_GOAL := help
.PHONY: help install run test test-installed coverage check format picture bench bench-evaluation bench-perplexity bench-pruning bench-attribution bench-explain bench-studies bench-lists bench-words bench-splitting bench-calibration lock clean

help:
	@sed -n '1,5s/^# //p' Makefile

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Prunescope needs Python 3.11 or newer; $$($(PYTHON) --version) was found. Name another: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); echo "Python's venv module is incomplete; on Debian or Ubuntu: apt install python3-venv"; exit 1; }
	$(PY) -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"

$(VENV)/.worker: $(VENV)/bin/python $(LOCK) pyproject.toml
	$(PY) -m pip install --quiet --disable-pip-version-check --constraint $(LOCK) --editable '.[worker]'
	@touch $@

$(VENV)/.dev: $(VENV)/.worker
	$(PY) -m pip install --quiet --disable-pip-version-check --constraint $(LOCK) --editable '.[worker,dev]'
	@touch $@

install: $(VENV)/.worker

run: install
	@exec $(PY) -m prunescope.cli up

test: $(VENV)/.dev
	@sh tests/chromium.sh
	$(ALL_TESTS)

# The server's and the pages' tests against the built wheel, without the checkout.
test-installed: $(VENV)/.dev
	@sh tests/chromium.sh
	PRUNESCOPE_WHEEL_TESTS="tests/server tests/pages tests/prunescope" $(PY) -m pytest tests/test_wheel.py -k from_the_wheel

# All tests, and the lines and branches that they do not reach in their own processes. Measuring takes as long again.
coverage: $(VENV)/.dev
	@sh tests/chromium.sh
	$(ALL_TESTS) --cov --cov-report=term-missing:skip-covered

check: $(VENV)/.dev
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	$(PY) -c 'from importlinter.cli import lint_imports_command as c; c()'
	@sh tests/scripts.sh

format: $(VENV)/.dev
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

# The page tests that take them, with the real worker and the demo model.
picture: $(VENV)/.dev
	@sh tests/chromium.sh
	$(PY) -m pytest tests/pages/test_whole_way.py tests/pages/test_tour.py -k 'not small_picture and not of_the_scheme'
	cp tests/pages/screenshots/neuron.webp docs/neuron.webp
	cp tests/pages/screenshots/tour/*.webp docs/tour/

RESULTS := benchmarks/results
STORIES := ../shared/models/stories260K
SMOLLM ?= demo

bench: bench-perplexity bench-pruning bench-evaluation bench-attribution bench-explain bench-studies bench-lists bench-words bench-splitting

bench-perplexity: install
	$(PY) -m benchmarks.perplexity demo --output $(RESULTS)/perplexity-demo.json --document docs/results.md
	@test ! -d $(STORIES) || $(PY) -m benchmarks.perplexity $(STORIES) --text generated \
		--output $(RESULTS)/perplexity-stories260K.json --document docs/results.md

bench-pruning: install
	$(PY) -m benchmarks.pruning --shape small --device cpu --rounds 4 --output $(RESULTS)/pruning-cpu.json --document docs/results.md

bench-attribution: install
	$(PY) -m benchmarks.attribution --device cpu --output $(RESULTS)/attribution-cpu.json --document docs/results.md

bench-explain: install
	$(PY) -m benchmarks.explain --output $(RESULTS)/explain.json --document docs/results.md

# The harness's own model class needs accelerate, which is of the development packages.
bench-evaluation: $(VENV)/.dev
	@test ! -d $(STORIES) || $(PY) -m benchmarks.evaluation --data ../shared/datasets --model $(STORIES) --shape small \
		--output $(RESULTS)/evaluation-cpu.json --document docs/results.md

bench-studies: $(VENV)/.dev
	@sh tests/chromium.sh
	$(PY) -m benchmarks.studies --browser --output $(RESULTS)/studies.json --document docs/results.md

bench-lists: install
	$(PY) -m benchmarks.lists --output $(RESULTS)/lists.json --document docs/results.md

# SMOLLM: the folder of SmolLM2-135M-Instruct, with which the results of the document were measured.
bench-words: install
	$(PY) -m benchmarks.words $(SMOLLM) --data ../shared/datasets --output $(RESULTS)/words.json --document docs/results.md

# PRUNED: a folder of the same model, pruned (the document's: Wanda at 0.5, calibrated on c4).
PRUNED ?= demo
bench-splitting: install
	$(PY) -m benchmarks.splitting $(SMOLLM) $(PRUNED) --data ../shared/datasets --output $(RESULTS)/splitting.json --document docs/results.md

bench-calibration: install
	$(PY) -m benchmarks.calibration demo --output $(RESULTS)/calibration-demo.json --document docs/results.md
	$(PY) -m benchmarks.tail demo --output $(RESULTS)/tail-demo.json --document docs/results.md

# The lock is what a fresh environment resolves to, written down. It names torch's release without its local label.
lock:
	rm -rf $(VENV).lock && $(PYTHON) -m venv $(VENV).lock
	$(VENV).lock/bin/python -m pip install --quiet --upgrade pip
	$(VENV).lock/bin/python -m pip install --quiet torch==2.13.0
	$(VENV).lock/bin/python -m pip install --quiet --editable '.[worker,dev]'
	$(VENV).lock/bin/python -m pip freeze --exclude-editable | sed 's/+cpu$$//' > $(LOCK)
	rm -rf $(VENV).lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache *.egg-info node_modules
