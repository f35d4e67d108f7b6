PYTHON ?= python3
BIN    := .venv/bin
FREE   := blueprint zoo cost
SOURCE := src tests $(wildcard benchmarks)
REST   := $(filter-out $(FREE:%=src/striate/%/),$(filter-out %/__pycache__/,$(wildcard src/striate/*/))) $(wildcard src/striate/*.py)
FAST   := $(wildcard $(FREE:%=tests/%) tests/house)

help:  ## what there is to make
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

setup: .venv/ready  ## .venv with everything that the versions in requirements.lock say
.venv/ready: pyproject.toml requirements.lock
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -c requirements.lock -e '.[dev]'
	@touch $@

demo: .venv/ready  ## train LeNet-5 on real handwritten digits, look, predict: about a minute
	$(BIN)/striate demo

test: .venv/ready  ## every test
	$(BIN)/python -m pytest -n 2 --dist worksteal -q

check: .venv/ready  ## format, lint, types, import contract, fast tests: under two minutes
	$(BIN)/ruff format --check $(SOURCE)
	$(BIN)/ruff check $(SOURCE)
	$(BIN)/mypy --strict $(FREE:%=src/striate/%)
	$(BIN)/mypy $(REST)
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n 2 --dist worksteal -q $(FAST)

accept: .venv/ready  ## write tests/golden anew; then read the diff
	$(BIN)/python -m pytest -n 2 --dist worksteal -q --accept

.venv/bench: .venv/ready
	$(BIN)/pip install --quiet -c requirements.lock -e '.[dev,bench]'
	@touch $@
bench: .venv/bench  ## every question in benchmarks/, peers in the same run
	set -e; for question in benchmarks/*.py; do echo "== $$question"; $(BIN)/python $$question; done

# torch stays where it is until its own line is changed: torchvision is compiled for one torch, and torch
# brings gigabytes. Its local version (+cpu) and its GPU companions depend on the machine, so they are left out.
lock:  ## the newest versions that work together, into requirements.lock
	set -e; fresh=$$(mktemp -d); trap 'rm -rf "$$fresh"' EXIT; $(PYTHON) -m venv $$fresh; \
	$$fresh/bin/pip install --quiet "$$(grep '^torch==' requirements.lock)" '.[dev,bench]'; \
	{ echo '# Written by make lock (Python 3.11-3.13). torch is raised by hand, together with torchvision.'; \
	  $$fresh/bin/pip freeze --exclude striate | grep -vE '^(nvidia-|cuda-|triton)' | sed 's/+.*//' | LC_ALL=C sort -f; } > $$fresh/lock; \
	cp $$fresh/lock requirements.lock

.PHONY: help setup demo test check accept bench lock
