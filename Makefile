# make run    everything, from nothing: .venv, install, embedded servers, daemon, sample agents
# make test   all tests          make lint   make typecheck   make coverage
# make chaos  all faults in full, and a table of what became of all events (some 25 minutes);
#             ARGS="killed redis" some of them, ARGS=--list which there are, ARGS=--help
# make mutants  does a rule's own test notice when the rule is turned round? (an hour)
# make docs   the documentation as a site, in build/site     make sbom  what it depends on, CycloneDX
# make lowest   some rooms' tests with the lowest versions that setup.cfg allows (uv finds them)
# make bench  the benchmarks     make clean  remove what was built; make distclean: .venv too
#
# JOBS=1 runs the tests in one process instead of three side by side.
# PYTHON=/path/to/python3.12 chooses the interpreter of a new .venv; ARGS="…" is passed on.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
ARGS ?=
JOBS ?= 3
SITE ?= build/site
SBOM ?= build/sbom.json
SBOM_PYTHON ?= build/sbom-env/bin/python

# Python 3.11 or newer that can make environments; pyenv's shims exist for missing versions too.
CHECK := import sys, venv, ensurepip, ssl; sys.exit(sys.version_info < (3, 11))
CANDIDATES := $(PYTHON) python3 python python3.13 python3.12 python3.11

.PHONY: run test lowest lint typecheck coverage bench chaos mutants clean distclean docs sbom FORCE
.DEFAULT_GOAL := run

run: $(VENV)/.installed-embedded
	@exec $(BIN)/orchestrator run $(ARGS)

test: $(VENV)/.installed-dev $(VENV)/.installed-node
	$(BIN)/python -m pytest --jobs $(JOBS) $(ARGS)

coverage: $(VENV)/.installed-dev $(VENV)/.installed-node
	$(BIN)/python -m coverage run -m pytest $(ARGS)
	$(BIN)/python -m coverage report

lowest: $(VENV)/.installed-dev
	$(BIN)/python -m venv build/lowest && build/lowest/bin/python -m pip install --quiet uv
	build/lowest/bin/uv pip install --python build/lowest/bin/python --resolution lowest-direct \
	    --editable '.[embedded,parquet]' 'pytest>=8.4' 'pytest-timeout>=2.4' 'hypothesis>=6.130' \
	    'jsonschema-rs>=0.30' 'openapi-spec-validator>=0.7.2' 'pyyaml>=6' 'setuptools>=77'
	build/lowest/bin/python -m pytest -W default $(or $(ARGS),tests/protocol tests/runtime tests/sql tests/http)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# mypy finds no package that is its own root: it gets one under its name, as a link.
typecheck: $(VENV)/.installed-dev
	@mkdir -p $(VENV)/typecheck && ln -sfn ../.. $(VENV)/typecheck/orchestrator
	cd $(VENV)/typecheck && ../bin/mypy --config-file ../../setup.cfg -p orchestrator $(ARGS)

bench: $(VENV)/.installed-dev
	$(BIN)/python -m bench $(ARGS)

chaos: $(VENV)/.installed-dev
	cd tests && PYTHONPATH=. ../$(BIN)/python -m faults.chaos $(ARGS)

mutants: $(VENV)/.installed-dev
	cd tests && ../$(BIN)/python -m mutants $(ARGS)

# The documentation as a site; a broken link fails it.
docs: $(VENV)/.installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --site-dir $(SITE)

# What an installation of [embedded] consists of, as CycloneDX.
sbom: $(VENV)/.installed-dev $(SBOM_PYTHON)
	@mkdir -p $(dir $(SBOM))
	$(BIN)/cyclonedx-py environment --output-reproducible --of JSON -o $(SBOM) $(SBOM_PYTHON)

build/sbom-env/bin/python: setup.cfg
	python3 -m venv build/sbom-env
	build/sbom-env/bin/python -m pip install --quiet --disable-pip-version-check '.[embedded]'
	rm -rf build/lib build/bdist*

# Installs again only when what is to be installed has changed.
$(VENV)/.installed-%: $(VENV)/.made-in setup.cfg pyproject.toml
	@echo "Installing orchestrator-lite[$*] into $(VENV) (once; a minute or so) ..." >&2
	@$(PIP) --editable '.[$*]'
	@touch $@

MANIFESTS := $(wildcard tests/package.json tests/*/package.json)

# What the tests in a browser and the Node agent need, where there is such a test.
$(VENV)/.installed-node: $(MANIFESTS) | $(VENV)/.made-in
	@for manifest in $(MANIFESTS); do \
	    echo "Installing Node packages for $$manifest ..." >&2; \
	    npm install --prefix "$$(dirname "$$manifest")" --silent --no-audit --no-fund || exit 1; \
	done
	@touch $@

# Anew also when its interpreter is gone, or when the folder has been moved.
USABLE := $(shell grep -qsxF '$(CURDIR)' $(VENV)/.made-in && $(BIN)/python -c '' 2>/dev/null && echo yes)

$(VENV)/.made-in: $(if $(USABLE),,FORCE)
	@for python in $(CANDIDATES); do \
	    if "$$python" -c '$(CHECK)' 2>/dev/null; then \
	        echo "Making $(VENV) with $$("$$python" --version) ..." >&2; \
	        rm -rf $(VENV); \
	        "$$python" -m venv $(VENV) && echo '$(CURDIR)' > $@; \
	        exit; \
	    fi; \
	done; \
	for python in $(CANDIDATES); do \
	    found=$$("$$python" -c 'import platform; print(platform.python_version())' 2>/dev/null) && break; \
	done; \
	echo "orchestrator needs Python 3.11 or newer with the modules venv, ensurepip and ssl;" >&2; \
	echo "found: $${found:-no Python at all}. Install it (Debian: apt-get install python3 python3-venv)," >&2; \
	echo "or name one: make run PYTHON=/path/to/python3.12" >&2; \
	exit 1

clean:
	rm -rf build dist *.egg-info .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV)
	find tests -name node_modules -type d -prune -exec rm -rf {} +
