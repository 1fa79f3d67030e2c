# Everything a person or a machine does to this project. `make` alone tells what there is.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# New enough, and not just a name: a version manager's python3.12 need not lead anywhere.
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3.14 python3; do \
	if "$$name" -c '$(NEW_ENOUGH)' 2>/dev/null; then command -v "$$name"; break; fi; done)
JOBS ?= 2
EVERY ?= 1
CHANCES ?= 1000
ORACLES ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/ocibuild-oracles
CRASH ?= abort error full dead nospace killed terminated interrupted
VENV := .venv
BIN := $(VENV)/bin

# An environment whose Python is too old, or gone, is none: its stamps go, and it is made anew where it is needed.
STALE := $(shell if [ -e $(VENV) ] && ! $(BIN)/python -c '$(NEW_ENOUGH)' 2>/dev/null; then \
	rm -f $(VENV)/.runtime $(VENV)/.development $(VENV)/.system; echo stale; fi)

# Debian's packages of the programs that tests/real drives, and of what the newest runc is built with. The tests skip what
# is missing, unless OCIBUILD_REQUIRE_REAL=1.
SYSTEM := ca-certificates chromium containerd docker-compose docker.io docker-registry git libseccomp-dev mmdebstrap pkg-config podman qemu-user-static runc skopeo strace umoci

.PHONY: help
help:  ## what there is
	@awk -F ':.*## ' '/^[a-z.-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: FORCE
FORCE:

mypy.tar: $(VENV)/.runtime FORCE  ## the reference image, from nothing but Python and make
	$(BIN)/ocibuild mypy --out $@

.PHONY: test
test: lint $(VENV)/.system  ## all checks and all tests; what is missing is installed first
	$(BIN)/pytest -n $(JOBS) --dist loadfile

.PHONY: lint
lint: $(VENV)/.development  ## style and types, the latter as seen on Linux and on a Mac
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/mypy --platform darwin

.PHONY: format
format: $(VENV)/.development  ## what ruff can mend by itself
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.PHONY: schema
schema: $(VENV)/.development  ## the generated pages: JSON Schemas, the command line's reference
	$(BIN)/python docs/generate.py

.PHONY: fuzz
fuzz: $(VENV)/.development  ## feed every parser what nobody thought of (FUZZ_SECONDS=600 for all, FUZZ_TARGETS="deb pylock")
	$(BIN)/python -m tests.fuzz

.PHONY: bench
bench: $(VENV)/.development  ## build with everybody and with ocibuild, and write docs/performance.md (BENCH="cold docker", BENCH=--quick)
	$(BIN)/python -m pip install --quiet --group bench
	$(BIN)/python -m benchmarks $(BENCH)

.PHONY: updates-bench
updates-bench: $(VENV)/.development  ## a year of updates of the reference image, and what engines make of them: docs/updates.md (UPDATES="year made engines")
	$(BIN)/python -m pip install --quiet --group bench
	$(BIN)/python -m benchmarks.updates $(UPDATES) --work .updates

# CRASH_CACHE names a cache with the reference image's base and wheels: then that is built, too, hundreds of times.
.PHONY: crash
crash: $(VENV)/.development  ## stop builds at each of their system calls (EVERY=50 tries one in fifty; CRASH_CACHE=DIR)
	for scenario in cold warm packed bill folder image lock download prune sbom report pull $(if $(CRASH_CACHE),reference); do \
		$(BIN)/python -m tests.crash $$scenario $(addsuffix /$(EVERY),$(CRASH)) --brief --log .crash-$$scenario || exit 1; \
	done

# What Debian's docker, podman and containerd say, and the newest where OCIBUILD_ORACLES has them: see CONTRIBUTING.md.
.PHONY: engines
engines: $(VENV)/.system  ## ask engines about odd layers and archives, and try CHANCES more by chance
	$(BIN)/python -m tests.engines
	OCIBUILD_CHANCES=$(CHANCES) $(BIN)/pytest tests/engines

.PHONY: oracles
oracles:  ## build the newest engines and registries that tests drive into ORACLES, if go is there
	.ci/oracles "$(ORACLES)"

.PHONY: parity
parity: $(VENV)/.development  ## install 377 real wheels with pip and with ocibuild, and write docs/parity.md (PARITY="six pip" tries those)
	$(BIN)/python -m tests.parity $(PARITY)

.PHONY: debian-parity
debian-parity: $(VENV)/.development  ## ask apt-get what Debian packages bring over a base, and compare (DEBIAN="git nginx|supervisor" tries those)
	$(BIN)/python -m tests.parity.debian $(DEBIAN)

.PHONY: debian-packages
debian-packages: $(VENV)/.development  ## walk the scripts of some 400 Debian packages, and write docs/debian-packages.md
	$(BIN)/python -m tests.parity.packages

.PHONY: lock-parity
lock-parity: $(VENV)/.development  ## ask uv, poetry, pdm and pipenv what the locks of the tests mean, and write what they say
	$(PYTHON) -m venv .locks
	.locks/bin/python -m pip install --quiet uv poetry poetry-plugin-export pdm 'hishel<2' pipenv
	$(BIN)/python -m tests.parity.locks .locks/bin

.PHONY: update-golden
update-golden: $(VENV)/.development  ## write the golden digests anew; say in the commit why they moved
	$(BIN)/pytest tests/golden --update-golden

.PHONY: clean
clean:  ## away with all that make made
	rm -rf $(VENV) .fuzz .parity .locks .mypy_cache .ruff_cache .pytest_cache .hypothesis .crash-* dist .updates mypy.tar

# Each stamp is younger than what it came from, or is made again.

$(VENV)/.runtime: pyproject.toml
	@if [ -z "$(PYTHON)" ]; then \
		echo "Python 3.11 or newer is needed, and on PATH is $$(command -v python3 >/dev/null && python3 --version 2>&1 || echo none)." >&2; \
		echo "Install one, or name it: make PYTHON=/path/to/python3.12" >&2; exit 1; \
	elif ! "$(PYTHON)" -c '$(NEW_ENOUGH)' 2>/dev/null; then \
		echo "Python 3.11 or newer is needed, and $(PYTHON) is $$("$(PYTHON)" --version 2>&1 || echo none)." >&2; exit 1; \
	fi
	$(venv)
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.development: $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --group dev
	touch $@

$(VENV)/.system: $(VENV)/.runtime Makefile
	$(system)
	touch $@

# Debian packages venv's other half apart, and says so only when a venv is half made. An environment that pip runs in is
# kept: it may have been made another way.
define venv
@if [ -n "$(STALE)" ]; then echo "$(VENV) has a Python that is too old, or gone: it is made anew" >&2; fi
@if [ -n "$(STALE)" ] || ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
	if ! $(PYTHON) -c 'import ensurepip' 2>/dev/null && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update --quiet=2; \
		DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends python3-venv; \
	fi; \
	"$(PYTHON)" -m venv --clear $(VENV); \
fi
endef

define system
@missing=(); \
for package in $(SYSTEM); do dpkg -s $$package >/dev/null 2>&1 || missing+=($$package); done; \
if [ $${#missing[@]} = 0 ]; then :; \
elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	apt-get update --quiet=2; \
	DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends "$${missing[@]}"; \
else \
	echo "not root, or no apt-get: going on without $${missing[*]}" >&2; \
fi
endef
