# Everything a person or CI does with this project. `make` alone lists it.
.DEFAULT_GOAL := help
SHELL := /bin/sh

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CARREL := $(BIN)/carrel
PIP := $(BIN)/pip install --quiet --quiet --disable-pip-version-check
RUNS := $(VENV)/.runs
STAMP := $(VENV)/.installed
JUDGES := .cache/judges

.PHONY: help install uninstall demo demo-stop demo-delete env judges vite prepare prepare-vm prepare-test check lint types layers unit docs golden meetings test test-vm test-emulated vm vm-run bench bench-vm clean

help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' Makefile

demo: prepare $(RUNS) ## Two people, VS Code and an agent, at https://ada.code.localhost:8443
	@scripts/demo $(CARREL)

demo-stop: $(RUNS) ## Stop the demo; leaves nothing running or mounted
	@$(CARREL) down --config demo/carrel.toml

demo-delete: demo-stop ## Stop the demo and delete what its users made
	@scripts/demo-delete $(CARREL)

install: ## On a server, as root: Carrel in /opt/carrel, its command, a first configuration
	@scripts/install

uninstall: ## On a server, as root: all of it gone but data and configuration
	@scripts/uninstall

prepare: ## Install the Debian packages that Carrel needs (asks sudo unless root)
	@scripts/prepare-machine run

prepare-vm: ## Also those that the test machine needs
	@scripts/prepare-machine vm

prepare-test: ## Also those that the tests need
	@scripts/prepare-machine test

env: $(STAMP) ## Make the Python environment in .venv

# What `carrel` needs, and no more: somebody waits for the demo.
$(RUNS): requirements.txt requirements-build.txt pyproject.toml
	@echo "Making the Python environment in $(VENV)" >&2
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) --require-hashes -r requirements.txt -r requirements-build.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(STAMP): $(RUNS) requirements-dev.txt
	@$(PIP) --require-hashes -r requirements-dev.txt
	@touch $@

check: lint types layers unit ## Lint, types, layers, unit and golden tests: under a minute

lint: env
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: env
	@$(BIN)/mypy

layers: env
	@$(BIN)/lint-imports --no-cache

unit: env
	@$(BIN)/pytest -q --numprocesses=auto --dist=worksteal tests/unit tests/golden

docs: env ## Write the generated pages and facts anew
	@$(BIN)/python scripts/reference.py
	@if command -v nix-instantiate >/dev/null; then PYTHONPATH=tests $(BIN)/python -m nix.reference; \
	else echo 'docs/reference/nixos.md stays as it is: nix-bin is missing (make prepare-test)' >&2; fi

golden: env ## Write the golden files anew; then read the difference in git
	@CARREL_GOLDEN=write $(BIN)/pytest -q tests/golden

judges: $(JUDGES)/.installed ## Install the programs of others that judge configurations and TLS

$(JUDGES)/.installed: requirements-judges.txt
	@echo "Making the environment of the judges in $(JUDGES)" >&2
	@$(PYTHON) -m venv $(JUDGES)
	@$(JUDGES)/bin/pip install --quiet --quiet --disable-pip-version-check --require-hashes -r requirements-judges.txt
	@touch $@

vite: .cache/vite/.installed ## Install Vite, which the tests run behind VS Code's port forwarding

.cache/vite/.installed: tests/vite/package-lock.json
	@mkdir -p .cache/vite
	@cp tests/vite/package.json tests/vite/package-lock.json .cache/vite/
	@cd .cache/vite && npm ci --no-audit --no-fund --silent
	@touch $@

meetings: env ## Two commands at once, and a kill before every single effect, on a fake server
	@$(BIN)/pytest -q --numprocesses=auto --dist=worksteal tests/meetings

# What is slow for different reasons goes on at the same time: the image and the disks wait for the network,
# the contract tests for somebody else's program, and the emulator keeps one processor and a bit busy.
# What a browser waits for comes after them, and tests/outage alone at the end: it cuts the power of every
# site of this machine.
ONE := --numprocesses=1 -v
APART := unit golden meetings contract outage

test: prepare-test env judges vite ## Everything, with real podman, nginx, code-server and Chromium
	@$(BIN)/python -m vm prepare & preparing=$$!; \
		make check meetings || { kill $$preparing; exit 1; }; wait $$preparing || :
	@$(BIN)/pytest $(ONE) -m emulated tests/vm & emulated=$$!; \
		$(BIN)/pytest $(ONE) tests/contract; contract=$$?; wait $$emulated && exit $$contract
	@$(BIN)/pytest $(ONE) -m 'not emulated' $(APART:%=--ignore=tests/%) tests
	@$(BIN)/pytest -v tests/outage

test-vm: prepare-vm env ## The tests that need a server: Debian 13 with systemd, at the speed of this machine
	@$(BIN)/pytest -v -m 'not emulated' tests/vm

test-emulated: prepare-vm env ## Those that need a whole one: a kernel, limits, a power switch; in an emulator
	@$(BIN)/pytest -v -m emulated tests/vm

vm: prepare-vm env ## A root shell on a server with Carrel; thrown away at the end; EMULATED=1 for a whole machine
	@$(BIN)/python -m vm $(if $(EMULATED),--emulated) shell

vm-run: prepare-vm env ## Run a script of yours there as root: make vm-run SCRIPT=file
	@test -f "$(SCRIPT)" || { echo 'usage: make vm-run SCRIPT=file, and the file has to exist' >&2; exit 2; }
	@$(BIN)/python -m vm $(if $(EMULATED),--emulated) run "$(SCRIPT)"

bench: prepare-test env ## Measure against bare code-server; prints a table, keeps bench/results.json
	@$(BIN)/python -m bench

bench-vm: prepare-vm env ## What one more workspace costs a server, measured in the test machine
	@$(BIN)/python -m bench.server

clean: ## Stop the demo, remove the image, the environment and caches; keeps what users made
	@scripts/clean
