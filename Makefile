# make demo    train a CNN on the generated accelerator, in simulation
# make test    the whole test suite, cocotb regression included
# Both set themselves up: they create .venv from PyPI on the first run.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
CORE   := $(VENV)/.core-installed
TEST   := $(VENV)/.test-installed
BOARDS := $(VENV)/.boards-installed
ARGS   ?=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo tensor-train test sim report bitstream lint bench convergence clean distclean

help:
	@echo "make demo     train a CNN on real digits in RTL simulation (accuracy, cycles, curve in build/demo)"
	@echo "make tensor-train  the tensor-train experiment: golden model and RTL (report and plot in build/tt)"
	@echo "make test     every test: units, golden model, compiler, runtime, cocotb benches"
	@echo "make sim      the cocotb benches alone"
	@echo "make report   LUT, FF, DSP and BRAM of each part against the xc7z020 (yosys)"
	@echo "make bench    cycles of layers and training steps on the RTL, speed of the tools (docs/performance.md)"
	@echo "make convergence  the digits' CNN in bfp8, bfp16 and fp32 on the golden model (build/convergence.json)"
	@echo "make bitstream BOARD=pynq-z2 [TOOLCHAIN=vivado|openxc7|yosys] [CONFIG=preset or file]   (docs/boards.md)"
	@echo "make lint     ruff"
	@echo "make clean    remove build/; make distclean removes .venv too"
	@echo "ARGS=...      is passed on, e.g. make test ARGS='-k bfp8'"

$(BIN)/python:
	@echo "[setup] creating $(VENV) with $$($(PYTHON) --version)"
	@for tool in perl make g++; do command -v $$tool >/dev/null || \
	  { echo "[setup] $$tool is missing: apt-get install perl make g++"; exit 1; }; done
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "[setup] Python 3.11 or later is needed; choose one with PYTHON=..."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "[setup] python -m venv failed: apt-get install python3-venv"; exit 1; }

$(CORE): pyproject.toml | $(BIN)/python
	@echo "[setup] installing eftrain_hw and what it needs from PyPI (once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(TEST): pyproject.toml $(CORE)
	@echo "[setup] installing the test tools from PyPI (once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	@touch $@

$(BOARDS): pyproject.toml $(CORE)
	@echo "[setup] installing what boards need from PyPI (once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[boards]'
	@touch $@

setup: $(TEST)

demo: $(CORE)
	@echo "[demo] training on scikit-learn's digits in RTL simulation"
	@$(BIN)/python scripts/demo.py $(ARGS)

tensor-train: $(CORE)
	@echo "[tensor-train] 784-512-10 on digits of 28x28: the golden model in all epochs, the RTL in one"
	@$(BIN)/python scripts/tensor_train.py $(ARGS)

test: $(TEST)
	@echo "[test] units, golden model, compiler, runtime and cocotb benches"
	@echo "[test] (PyTorch comparisons use stored reference vectors; .ci/run installs PyTorch itself)"
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

sim: $(TEST)
	@echo "[sim] cocotb benches on Verilator"
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -n 2 --dist worksteal sim $(ARGS)

report: $(TEST)
	@echo "[report] synthesising for the xc7z020 with yosys"
	@$(BIN)/python scripts/report.py $(ARGS)

bitstream: $(BOARDS)
	@test -n "$(BOARD)" || { echo "BOARD=... is missing; the boards are:" >&2; \
	  $(BIN)/eftrain info --boards >&2; exit 2; }
	@$(BIN)/python scripts/bitstream.py --board '$(BOARD)' \
	  $(if $(TOOLCHAIN),--toolchain '$(TOOLCHAIN)') $(if $(CONFIG),--config '$(CONFIG)') $(ARGS)

bench: $(CORE)
	@$(BIN)/python scripts/bench.py $(ARGS)

convergence: $(CORE)
	@$(BIN)/python scripts/convergence.py $(ARGS)

lint: $(TEST)
	@$(BIN)/ruff check $(ARGS) .

clean:
	rm -rf build

distclean: clean
	rm -rf $(VENV) *.egg-info
