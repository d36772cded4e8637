# Each target makes .venv and installs what it needs when that is missing, so each works as the first command.
# PYTHON chooses the interpreter (3.11 or newer); pip takes its index and proxy from its own configuration.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.runtime
DEV := $(VENV)/.dev
SERVER := $(VENV)/.server
SHELL := /bin/sh
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup demo serve test lint check fmt bench wheel clean

help:
	@echo 'make demo             diarize a bundled recording and show the result; FILE=meeting.wav for your own'
	@echo 'make serve            live captions in the browser, on this machine only; PORT=9000 for another port'
	@echo 'make test             run the tests'
	@echo 'make check            lint, types and tests'
	@echo 'make fmt              format the code, and bring the file map in the README up to date'
	@echo 'make bench            every benchmark that the material here allows, into benchmarks/results;'
	@echo '                      DIR=folder for your own audio + RTTM instead (a few hours without it);'
	@echo '                      PARTS="speed server" for some of quality, simulated, speed, server, parity;'
	@echo '                      QUICK=1 to see in a quarter of an hour that all of it runs'
	@echo 'make wheel            build the wheel into dist/'
	@echo 'make setup            only make .venv, with what tests and benchmarks need'
	@echo 'make clean            remove .venv and everything that was built'

setup: $(DEV)

demo: $(RUNTIME)
	@$(BIN)/speakrs-stream demo $${FILE:+"$$FILE"}

serve: $(SERVER)
	@exec $(BIN)/speakrs-stream serve $${PORT:+--port "$$PORT"}

test: $(DEV)
	$(BIN)/python -m pytest

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: lint test

fmt: $(DEV)
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .
	$(BIN)/python .ci/map.py

bench: $(DEV)
	PYTHON=$(BIN)/python sh benchmarks/all.sh $${DIR:+"$$DIR"}

wheel: $(DEV)
	$(BIN)/python -m build --wheel --outdir dist .

clean:
	rm -rf $(VENV) dist build demo-output .mypy_cache .ruff_cache .pytest_cache .hypothesis

# An environment without pip is filled by the pip outside it: Debian ships Python without ensurepip unless
# python3-venv is installed.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo 'Python 3.11 or newer is needed; name it with make PYTHON=python3.12 …' >&2; exit 1; }
	@if $(PYTHON) -c 'import ensurepip' 2>/dev/null; then \
		$(PYTHON) -m venv $(VENV); \
	else \
		echo 'No ensurepip in this Python (on Debian it comes with python3-venv): using the pip outside.'; \
		$(PYTHON) -m venv --without-pip $(VENV) \
			&& $(PYTHON) -m pip --python $(VENV)/bin/python install --quiet pip \
			|| { rm -rf $(VENV); echo 'That did not work. Install it: apt install python3-venv' >&2; exit 1; }; \
	fi

$(RUNTIME): pyproject.toml | $(BIN)/pip
	@echo 'Installing speakrs-stream into $(VENV) …'
	@$(BIN)/python -m pip install --quiet -e '.[cpu]'
	@touch $@

$(SERVER): pyproject.toml | $(BIN)/pip
	@echo 'Installing speakrs-stream and its server into $(VENV) …'
	@$(BIN)/python -m pip install --quiet -e '.[cpu,server]'
	@touch $(RUNTIME) $@

$(DEV): pyproject.toml | $(BIN)/pip
	@echo 'Installing speakrs-stream and its development tools into $(VENV) …'
	@$(BIN)/python -m pip install --quiet -e '.[dev]'
	@touch $(RUNTIME) $(SERVER) $@
