# Every target sets up what it needs in .venv, from a fresh clone with only Python and make.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
BENCH  := .venv-bench
ENGINE := CMakeLists.txt $(wildcard src/chainrule/engine/cpp/*/*)

.PHONY: train test check stubs parity lessons docs serve bench wheel sanitize narrow arm clean

train: $(VENV)/.run
	$(BIN)/chainrule train digits

test: $(VENV)/.dev
	$(BIN)/pytest -n 2 -q

check: $(VENV)/.dev
	$(BIN)/ruff check src tests benchmarks lessons docs tools
	$(BIN)/ruff format --check --quiet src tests benchmarks lessons docs tools
	$(BIN)/python tools/stubs.py --check
	$(BIN)/mypy
	$(BIN)/python tools/check_ops.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

# The types of ops and of Tensor's methods, written anew from the records (`src/**/*.pyi`).
stubs: $(VENV)/.dev
	$(BIN)/python tools/stubs.py

# Runs the lessons one after the other and writes the notebooks; `make lessons ONLY="4 5"` some.
lessons: $(VENV)/.lessons
	$(BIN)/python lessons/notebooks.py $(ONLY)

# The documentation in site/, a folder that any web server shows; `make serve` shows it while you write.
docs: $(VENV)/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	@echo "the documentation is site/index.html"

serve: $(VENV)/.dev
	$(BIN)/mkdocs serve

# The peers that parity tests compare with; without them, these tests are skipped.
parity: $(VENV)/.parity

bench: $(BENCH)/.peers
	$(BENCH)/bin/python benchmarks/run.py

$(VENV)/.python:
	$(PYTHON) -m venv $(VENV)
	touch $@

# The one target that builds the engine. Extras are installed beside it, so they do not build it again.
$(VENV)/.built: $(VENV)/.python pyproject.toml $(ENGINE)
	$(BIN)/pip install --quiet -e .
	touch $@

$(VENV)/.run: $(VENV)/.built
	$(BIN)/python tools/requirements.py plot images | $(BIN)/pip install --quiet -r /dev/stdin
	$(BIN)/python -m compileall -q src/chainrule
	touch $@

$(VENV)/.dev: $(VENV)/.built
	$(BIN)/python tools/requirements.py dev | $(BIN)/pip install --quiet -r /dev/stdin
	touch $@

$(VENV)/.parity: $(VENV)/.dev
	$(BIN)/python tools/requirements.py parity | $(BIN)/pip install --quiet -r /dev/stdin
	touch $@

$(VENV)/.lessons: $(VENV)/.dev
	$(BIN)/python tools/requirements.py lessons | $(BIN)/pip install --quiet -r /dev/stdin
	touch $@

$(BENCH)/.peers: pyproject.toml $(ENGINE)
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/pip install --quiet -e ".[plot]" torch==2.13.0 "jax>=0.4.30" threadpoolctl
	$(BENCH)/bin/python -m compileall -q src/chainrule
	touch $@

# The wheel that installs without a compiler, in dist/, tested in an environment of its own (Linux).
wheel: $(VENV)/.python
	$(BIN)/python tools/requirements.py wheel | $(BIN)/pip install --quiet -r /dev/stdin
	$(BIN)/python tools/wheel.py

# The engine's tests under address and undefined-behaviour sanitizers, then the thread sanitizer.
sanitize: $(VENV)/.dev
	$(BIN)/pip install --quiet cmake ninja nanobind
	tests/engine/sanitize.sh address,undefined $(BIN)/python
	tests/engine/sanitize.sh thread $(BIN)/python

# The sweep of ops where NumPy's index type has 32 bits, as in browsers (Debian, x86).
narrow: $(VENV)/.dev
	PYTHON=$(BIN)/python tests/emulate.sh i386 tests/ops/test_sweep.py tests/test_tiny.py

# The engine, cross-compiled for 64-bit ARM, and tests of it under an emulator (Debian): the sweep reaches
# every kernel, the others products, reductions, chains, programs and threads. Under an emulator arithmetic
# is slow, so large sizes are left out. A forked process cannot start threads under qemu 7.
FORK := tests/engine/test_threads.py::test_a_forked_child_computes
arm: $(VENV)/.python
	PYTHON=$(BIN)/python tests/emulate.sh arm64 $(patsubst %,tests/engine/test_%.py,sweep matmul \
		reduce fused program threads) tests/test_tiny.py --deselect $(FORK)

clean:
	rm -rf build dist site $(VENV) $(BENCH) .pytest_cache .mypy_cache .ruff_cache .hypothesis
