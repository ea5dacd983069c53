# `make demo` and `make test` need Python 3.10+ and make, nothing else. `make` alone lists the targets.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo test test-real tools check format lint types layers generate pictures coverage bench-scale test-matrix test-ends lock upgrade clean

VENV := .venv
PY := $(VENV)/bin/python
UV := $(PY) -m uv --quiet

# A registry behind a company's proxy is known to the system's certificates only.
UV_SYSTEM_CERTS ?= 1
UV_PYTHON_DOWNLOADS ?= never
PIP_DISABLE_PIP_VERSION_CHECK ?= 1
export UV_SYSTEM_CERTS UV_PYTHON_DOWNLOADS PIP_DISABLE_PIP_VERSION_CHECK

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.demo  ## two simulated agents and their metrics, in this terminal
	@$(VENV)/bin/agent-otel demo $(ARGS)

test: $(VENV)/.dev  ## the tests (ARGS="-k word" picks some)
	$(PY) -m pytest $(COVERAGE) $(ARGS)

test-real: $(VENV)/.dev  ## the tests that run a real Collector, Prometheus and VictoriaMetrics (after make tools)
	$(PY) -m pytest -m real tests/real $(ARGS)

tools: | $(PY)  ## build those servers into a cache outside this folder: some 15 minutes, once
	$(PY) scripts/tools.py

check: COVERAGE := --cov
check: lint types layers tools test test-real test-ends  ## everything that must pass before a change lands; the tests with branch coverage

format: $(VENV)/.dev  ## rewrite the code as the formatter and the safe fixes of the linter want it
	$(PY) -m ruff check --fix-only --quiet
	$(PY) -m ruff format

lint: $(VENV)/.dev  ## format, lint rules and spelling, changing nothing
	$(PY) -m ruff format --check
	$(PY) -m ruff check
	$(PY) -m codespell_lib $(wildcard *.md .ci agent_otel benchmarks collector-config docs examples scripts tests)

types: $(VENV)/.dev  ## strict types of the package, the examples, the scripts and a user's code
	$(PY) -m mypy

layers: $(VENV)/.dev  ## who may import whom
	$(VENV)/bin/lint-imports --no-logo

generate: $(VENV)/.dev  ## rewrite the files that derive from the catalog and from others
	$(PY) -m agent_otel.artifacts
	$(PY) scripts/kubernetes.py

pictures: $(VENV)/.dev  ## draw the documents' pictures from real output
	$(PY) scripts/pictures.py
	$(PY) scripts/dashboard_pictures.py

coverage: COVERAGE := --cov
coverage: test  ## the tests, then the lines they miss as pages in htmlcov/
	$(PY) -m coverage html

bench-scale: $(VENV)/.dev  ## what the Collector's gateway tier costs for 10 to 1,000 processes (after make tools)
	$(PY) -m benchmarks.scale $(ARGS)

test-matrix: $(VENV)/.dev  ## the tests under every supported Python and OpenTelemetry SDK
	$(PY) scripts/matrix.py -- $(ARGS)

test-ends: $(VENV)/.dev  ## the same under the oldest and the newest alone
	$(PY) scripts/matrix.py --ends -- $(ARGS)

LOCK := pip compile pyproject.toml --universal --python-version 3.10 --group dev --extra all \
	--no-emit-index-url --no-annotate --custom-compile-command "make lock" --output-file requirements-dev.txt

lock: $(PY)  ## pin what pyproject.toml names in requirements-dev.txt, keeping pins that still fit
	$(PY) -m pip install --quiet uv
	$(UV) $(LOCK)

upgrade: $(PY)  ## the same with the newest of everything
	$(PY) -m pip install --quiet uv
	$(UV) $(LOCK) --upgrade

clean:  ## remove the environments and everything made by a run
	rm -rf $(VENV) .venv-matrix .coverage .coverage.* htmlcov dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment. Each stamp stands for one finished step, so a second run starts at once.

PYTHONS := $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python3.10 python)

$(PY):
	@for python in $(PYTHONS); do \
		if "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1; then \
			echo "$(VENV): $$("$$python" --version)"; \
			exec "$$python" -m venv --clear $(VENV); \
		fi; \
	done; \
	echo "agent_otel needs Python 3.10 or newer with its venv module; none found as: $(PYTHONS)." >&2; \
	echo "Install one, or name yours: make PYTHON=/path/to/python3 $(MAKECMDGOALS)" >&2; \
	exit 1

$(VENV)/.demo: pyproject.toml | $(PY)
	@echo "$(VENV): what the demo needs"
	@$(PY) -m pip install --quiet --editable '.[cli,prometheus,otlp]'
	@touch $@

$(VENV)/.dev: requirements-dev.txt pyproject.toml | $(PY)
	@echo "$(VENV): what the tests need, as pinned in requirements-dev.txt"
	@$(PY) -m pip install --quiet "$$(sed -n 's/^\(uv==[^ ;]*\).*/\1/p' requirements-dev.txt)"
	@$(UV) pip sync --strict --compile-bytecode --python $(PY) requirements-dev.txt
	@$(UV) pip install --no-deps --python $(PY) --editable .
	@touch $(VENV)/.demo $@
