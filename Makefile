# Two commands: `make up` runs the whole system, `make test` checks and tests all of it. `make bench` measures it.
#
# The environment is made once from the locked, hashed requirements and again only when they change: the stamps in
# .venv hold that, so a warm `make up` costs no more than make itself.

.DELETE_ON_ERROR:
.PHONY: up test browser bench faults lint lock clean
.DEFAULT_GOAL := up

SHELL := bash
.SHELLFLAGS := -o pipefail -c
# A distribution's own Python first: it is compiled with profile-guided optimisation, and one from pyenv usually is not
# (docs/benchmarks/profiles.md has the difference).
PYTHON ?= $(firstword $(foreach python,/usr/bin/python3 python3,$(shell \
	$(python) -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>&- && echo $(python))) python3)
VENV := .venv
BIN := $(VENV)/bin
LOCKS := infra/requirements
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
# Says each download as it begins, and nothing of the rest.
INSTALL = $(PIP) install --require-hashes --progress-bar off -r $(1) | sed -un 's/^ *Downloading /  /p'

up: $(VENV)/run.stamp
	@exec $(BIN)/chat up $(ARGS)

# Three processes, since most tests wait most of the time; tests/conftest.py says what stays together.
# A process that a hanging test was ended with is not replaced: pytest-xdist would wait for it without end.
test: lint browser
	@$(BIN)/pytest -n 3 --max-worker-restart=0 --no-loadscope-reorder $(ARGS)

# For the tests of the JavaScript client. Where there is no apt, or no right to use it, they are skipped and say so.
browser:
	@command -v chromium chromium-browser google-chrome >/dev/null || { \
		[ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && echo 'installing Chromium for the browser tests ...' && \
		timeout 600 sh -c 'apt-get -qq update && apt-get -qqy install --no-install-recommends chromium' \
			</dev/null >/dev/null 2>&1 && command -v chromium >/dev/null; \
	} || echo 'no Chromium here, and none that can be installed: the browser tests are skipped'

# Half an hour, or ARGS=--short: two minutes; ARGS=--help names the rest. Needs Go for the load generator.
bench: $(VENV)/run.stamp
	@exec $(BIN)/python -m benchmarks $(ARGS)

# The fault tests at their full length, 20 minutes; `make test` runs a short form.
faults: $(VENV)/dev.stamp
	@FAULTS=full $(BIN)/pytest -n 2 --no-loadscope-reorder -o faulthandler_timeout=1800 tests/faults $(ARGS)

lint: $(VENV)/dev.stamp
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'Python 3.11 or newer is needed; name one with: make PYTHON=python3.12' >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); echo 'the venv module of this Python does not work (on Debian: apt install python3-venv)' >&2; exit 1; }

# Test tools come on top of what runs, both from hashes; the project itself is linked in without asking any index.
$(VENV)/run.stamp: $(BIN)/python $(LOCKS)/run.txt pyproject.toml
	@echo 'installing the locked requirements into $(VENV) ...'
	@$(call INSTALL,$(LOCKS)/run.txt)
	@PYTHONWARNINGS=ignore $(PIP) install --quiet --no-deps --no-build-isolation --no-index \
		--config-settings editable_mode=compat --editable .
	@rm -rf chat.egg-info # a by-product, which would be found before what is installed, and grow old
	@touch $@

$(VENV)/dev.stamp: $(VENV)/run.stamp $(LOCKS)/dev.txt
	@echo 'installing the locked test tools into $(VENV) ...'
	@$(call INSTALL,$(LOCKS)/dev.txt)
	@touch $@

# Versions stay as they are unless asked: make lock ARGS=--upgrade. No index or path of this machine is written down.
COMPILE := CUSTOM_COMPILE_COMMAND='make lock' $(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host
lock: $(VENV)/dev.stamp
	$(COMPILE) $(ARGS) --build-deps-for editable --output-file $(LOCKS)/run.txt pyproject.toml
	$(COMPILE) $(ARGS) --extra dev --constraint $(LOCKS)/run.txt --output-file $(LOCKS)/dev.txt pyproject.toml

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
