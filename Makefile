# SPDX-License-Identifier: Apache-2.0
# Everything a developer does, from a fresh clone with Python 3.11 or newer (with venv), make and gcc; the integration
# tests need Go as well. `make help` lists it.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

BIN := .venv/bin
UV := $(BIN)/uv
MEASURED := .venv-measured/bin

# The interpreter for new environments. Empty: the first of these that is Python 3.11 or newer.
PYTHON ?=
PYTHONS := python3 python3.11 python3.12 python3.13
FIND_PYTHON = python=; for name in $(or $(PYTHON),$(PYTHONS)); do \
	  if "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$name; break; fi; \
	done; \
	test -n "$$python" || { echo 'Python 3.11 or newer is needed; name it with PYTHON=/path/to/python3' >&2; exit 1; }

# uv trusts the certificates of the system, and asks the index that pip is set up for.
export UV_SYSTEM_CERTS ?= true
USE_PIPS_INDEX = index=$${PIP_INDEX_URL:-$$($(BIN)/python -m pip config get global.index-url 2>/dev/null || true)}; \
	test -z "$$index" || export UV_DEFAULT_INDEX="$${UV_DEFAULT_INDEX:-$$index}"

# `make test STATIC=` leaves the static checks out, for a caller that has just run them.
STATIC ?= static
# One worker per processor; a file's tests stay together, so what they share is started once.
PYTEST_FLAGS ?= -n logical --dist loadfile
# What `make test` runs; `make test TESTS=tests/unit/test_join.py` runs less.
TESTS ?= tests --ignore=tests/integration --ignore=tests/e2e --ignore=tests/engines
# What `make integration` and `make e2e` run, and the families of tools/ that they need; `make tools` builds all of them.
INTEGRATION ?= tests/integration
INTEGRATION_TOOLS := builder collector alertmanager chart-testing crds helm helm3 kube-linter prometheus victoriametrics llm-d-sim
E2E ?= tests/e2e
E2E_TOOLS := kubernetes etcd containerd runc cni device-plugin dra-nvidia dra-example helm buildkit crds prometheus
TOOLS ?=
DEMO_FLAGS ?=
ENGINES ?= tests/engines
# The Python that Triton embeds: Debian's own. Another 3.11 does not fit it.
TRITONS_PYTHON ?= /usr/bin/python3.11
# How long `make fuzz` looks, and further options of libFuzzer's.
FUZZ_SECONDS ?= 60
FUZZ_FLAGS ?=
BENCH ?=
# The interpreter that is measured. Empty: the distribution's, which is built as users' are, by profile (those that pyenv
# builds are not, unless told to, and a third slower); else that of .venv.
BENCH_PYTHON ?=
UPGRADE ?=
# `make image`: empty, a base made of this machine's Debian packages; else an image of a registry, as python:3.13-slim.
BASE ?=
IMAGE_FLAGS ?=

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 16

# --- environments -------------------------------------------------------------------------------------------------

.PHONY: setup
setup: .venv/.installed ## create .venv from the locks; does nothing when nothing changed

.venv/.installed: requirements/uv.txt requirements/dev.txt pyproject.toml
	@$(FIND_PYTHON); \
	test -x $(BIN)/python || { echo "creating .venv with $$("$$python" --version)"; "$$python" -m venv .venv; }; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/uv.txt
	@$(USE_PIPS_INDEX); \
	$(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements/dev.txt requirements/uv.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: setup-dynamo
setup-dynamo: .venv-dynamo/.installed ## create .venv-dynamo: a live engine for the tests, without a GPU (90 MB download)

.venv-dynamo/.installed: requirements/dynamo.txt | .venv/.installed
	@test -x .venv-dynamo/bin/python || $(UV) venv --quiet --python $(BIN)/python .venv-dynamo
	@$(USE_PIPS_INDEX); \
	$(UV) pip sync --quiet --python .venv-dynamo/bin/python --require-hashes requirements/dynamo.txt
	@touch $@

.PHONY: setup-bench
setup-bench: .venv-measured/.installed .venv-bench/.installed ## create .venv-measured, and .venv-bench: the exporter that `make bench` compares with

.venv-measured/.installed: requirements/uv.txt requirements/dev.txt pyproject.toml | .venv/.installed
	@python=$$(for name in $(or $(BENCH_PYTHON),/usr/bin/python3 $(BIN)/python); do \
	  if "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo "$$name"; break; fi; \
	done); \
	test -x $(MEASURED)/python || $(UV) venv --quiet --no-python-downloads --python "$$python" .venv-measured
	@$(USE_PIPS_INDEX); \
	$(UV) pip sync --quiet --python $(MEASURED)/python --require-hashes requirements/dev.txt requirements/uv.txt
	@$(UV) pip install --quiet --python $(MEASURED)/python --no-deps --no-build-isolation --editable .
	@touch $@

.venv-bench/.installed: requirements/bench.txt | .venv-measured/.installed
	@test -x .venv-bench/bin/python || $(UV) venv --quiet --no-python-downloads --python $(MEASURED)/python .venv-bench
	@$(USE_PIPS_INDEX); \
	$(UV) pip sync --quiet --python .venv-bench/bin/python --require-hashes requirements/bench.txt
	@touch $@

.PHONY: setup-engines
setup-engines: .venv-vllm/.installed .venv-triton/.installed ## create .venv-vllm and .venv-triton: real engines on a CPU (x86-64; 5.5 GB)

.venv-vllm/.installed: requirements/vllm.txt | .venv/.installed
	@test -x .venv-vllm/bin/python || $(UV) venv --quiet --no-python-downloads --python 3.11 .venv-vllm
	@$(USE_PIPS_INDEX); \
	$(UV) pip sync --quiet --python .venv-vllm/bin/python --require-hashes requirements/vllm.txt
	@touch $@

.venv-triton/.installed: requirements/triton.txt | .venv/.installed
	@test -x .venv-triton/bin/python || $(UV) venv --quiet --no-python-downloads --python $(TRITONS_PYTHON) .venv-triton
	@$(USE_PIPS_INDEX); \
	$(UV) pip sync --quiet --python .venv-triton/bin/python --require-hashes requirements/triton.txt
	@touch $@

.PHONY: setup-fuzz
setup-fuzz: .venv-fuzz/.installed ## create .venv-fuzz: atheris, which finds inputs that a parser fails on

.venv-fuzz/.installed: requirements/fuzz.txt | .venv/.installed
	@test -x .venv-fuzz/bin/python || $(UV) venv --quiet --no-python-downloads --python 3.11 .venv-fuzz
	@$(USE_PIPS_INDEX); \
	$(UV) pip sync --quiet --python .venv-fuzz/bin/python --require-hashes requirements/fuzz.txt
	@touch $@

.PHONY: tools
tools: ## build the Go programs of the integration tests into the user's cache; does nothing when nothing changed
	@tools/build.sh $(TOOLS)

# --- use ----------------------------------------------------------------------------------------------------------

.PHONY: demo
demo: setup ## a simulated node through the real pipeline, with a live table (DEMO_FLAGS='--for 30s')
	@$(BIN)/inferometer demo $(DEMO_FLAGS)

# --- checks -------------------------------------------------------------------------------------------------------

.PHONY: static
static: setup ## lint, format, types, import contract, generated pages
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
	@$(BIN)/mypy
	@contract=$$($(BIN)/lint-imports --no-cache 2>&1) || { echo "$$contract" >&2; exit 1; }
	@$(MAKE) --no-print-directory docs-check

# The live engine is a part that may be missing: its tests are then skipped by name, or fail where CI=true.
.PHONY: test
test: setup $(STATIC) ## every check that needs no root, no Go and no GPU
	@$(MAKE) --no-print-directory setup-dynamo \
	  || { test "$${CI:-}" != true && echo 'make setup-dynamo failed: the tests with a live engine will be skipped' >&2; }
	@scratch=$$(mktemp -d); trap 'rm -rf "$$scratch"' EXIT; \
	TMPDIR=$$scratch $(BIN)/python -m pytest --no-fold-skipped $(PYTEST_FLAGS) $(TESTS)

# The programs are parts that may be missing: what needs them is then skipped by name, or fails where CI=true.
.PHONY: integration
integration: setup ## the agent against a real Prometheus, Alertmanager, Collector, promtool, Helm and a simulated engine (needs Go 1.26)
	@$(MAKE) --no-print-directory tools TOOLS='$(INTEGRATION_TOOLS)' \
	  || { test "$${CI:-}" != true && echo 'make tools failed: the tests with its programs will be skipped' >&2; }
	@scratch=$$(mktemp -d); trap 'rm -rf "$$scratch"' EXIT; \
	TMPDIR=$$scratch $(BIN)/python -m pytest --no-fold-skipped $(PYTEST_FLAGS) $(INTEGRATION)

# The other exporter is a part that may be missing: its rows are then named, and its bench fails where CI=true.
# One node serves all tests, so they run in one process. A node's sockets need short paths, hence its own folder in /tmp.
.PHONY: e2e
e2e: setup ## the agent on a real Kubernetes node (needs root, gcc, iproute2, Go 1.26; about 7 min)
	@$(MAKE) --no-print-directory tools TOOLS='$(E2E_TOOLS)' \
	  || { test "$${CI:-}" != true && echo 'make tools failed: the tests with its programs will be skipped' >&2; }
	@scratch=$$(mktemp -d /tmp/e2e.XXXXXX); trap 'rm -rf "$$scratch"' EXIT; \
	TMPDIR=$$scratch $(BIN)/python -m pytest --no-fold-skipped -p no:xdist $(E2E)

# By hand: it downloads gigabytes. INFEROMETER_RECORD=1 writes their pages and the ledgers of their clients into tests/fixtures.
.PHONY: engines
engines: setup setup-engines ## the agent against a real vLLM and Triton on the CPU (8 GB of memory; 3 min once they are set up)
	@scratch=$$(mktemp -d); trap 'rm -rf "$$scratch"' EXIT; \
	TMPDIR=$$scratch $(BIN)/python -m pytest --no-fold-skipped -p no:xdist $(ENGINES)

# What it finds it leaves in the folder build/fuzz, as crash-*, timeout-* or oom-*.
.PHONY: fuzz
fuzz: setup setup-fuzz ## look for pages that the reader of engines' pages fails on (FUZZ_SECONDS=600)
	@mkdir -p build/fuzz
	@cd build/fuzz && PYTHONPATH=$(CURDIR)/tests:$(CURDIR)/exporter $(CURDIR)/.venv-fuzz/bin/python -m fuzz \
	  -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 -verbosity=0 $(FUZZ_FLAGS)

.PHONY: bench
bench: setup .venv-measured/.installed ## one JSON object per measure (BENCH=encode,parse selects)
	@$(MAKE) --no-print-directory setup-bench \
	  || { test "$${CI:-}" != true && echo 'make setup-bench failed: the devices are measured without another exporter' >&2; }
	@$(MAKE) --no-print-directory tools TOOLS=collector \
	  || { test "$${CI:-}" != true && echo 'make tools failed: the dense node is measured without a Collector' >&2; }
	@BENCH='$(BENCH)' PYTHONPATH=tests $(MEASURED)/python -m bench

.PHONY: performance
performance: setup .venv-measured/.installed ## docs/performance.md of a whole bench, or of rows that one has printed (ROWS=file)
	@scratch=$$(mktemp -d); trap 'rm -rf "$$scratch"' EXIT; rows='$(ROWS)'; \
	test -n "$$rows" || { rows=$$scratch/rows; $(MAKE) --no-print-directory bench | tee /dev/stderr | grep '^{' > "$$rows"; }; \
	PYTHONPATH=tests $(MEASURED)/python -m bench.performance < "$$rows" > "$$scratch/page" && cp "$$scratch/page" docs/performance.md

# --- what is generated --------------------------------------------------------------------------------------------

GENERATED := docs/metrics.md docs/configuration.md docs/configuration.schema.json
GENERATE = $(BIN)/inferometer metrics --markdown >$(1)/docs/metrics.md; \
	$(BIN)/inferometer config --markdown >$(1)/docs/configuration.md; \
	$(BIN)/inferometer config --schema >$(1)/docs/configuration.schema.json

.PHONY: docs
docs: setup ## write what is generated: reference pages, schemas, the chart's tables, dashboards, rules, Collector configurations of old names
	@new=$$(mktemp -d); trap 'rm -rf "$$new"' EXIT; mkdir "$$new/docs"; \
	$(call GENERATE,$$new); \
	cp "$$new"/docs/* docs/
	@$(BIN)/python -m helm.generate
	@$(BIN)/python -m dashboards
	@$(BIN)/python -m alerts
	@$(BIN)/python collector-config/old_names.py

.PHONY: docs-check
docs-check: setup
	@new=$$(mktemp -d); trap 'rm -rf "$$new"' EXIT; mkdir "$$new/docs"; \
	$(call GENERATE,$$new); \
	for page in $(GENERATED); do \
	  diff -u "$$page" "$$new/$$page" || { echo "$$page is out of date: run make docs" >&2; exit 1; }; \
	done
	@$(BIN)/python -m helm.generate --check
	@$(BIN)/python -m dashboards --check
	@$(BIN)/python -m alerts --check
	@$(BIN)/python collector-config/old_names.py --check

.PHONY: proto
proto: setup ## regenerate the vendored protocols' Python code
	@$(BIN)/python -m grpc_tools.protoc --proto_path=exporter/inferometer/proto \
	  --python_out=exporter/inferometer/proto --pyi_out=exporter/inferometer/proto \
	  exporter/inferometer/proto/*.proto

.PHONY: otelcol-source
otelcol-source: ## regenerate the source of the integration tests' Collector from its manifest
	@tools/build.sh builder; ocb=$$(tools/build.sh --path ocb); \
	scratch=$$(mktemp -d); trap 'rm -rf "$$scratch"' EXIT; \
	cd tools/collector; TMPDIR=$$scratch PATH=$$PATH:/usr/local/go/bin "$$ocb" --config manifest.yaml --skip-compilation --skip-strict-versioning=false; \
	rm main_windows.go

COMPILE_ANY = $(UV) pip compile --quiet --python-version 3.11 --generate-hashes --no-header $(UPGRADE)
COMPILE = $(COMPILE_ANY) --universal
# What real engines need differs with the processor and with Python: their locks are for one of each.
COMPILE_HERE = $(COMPILE_ANY) --python-platform x86_64-manylinux_2_35

.PHONY: lock
lock: setup ## bring the locks up to date with pyproject.toml (UPGRADE=--upgrade takes newer releases)
	@$(COMPILE) requirements/uv.in --output-file requirements/uv.txt
	@$(COMPILE) pyproject.toml --output-file requirements/run.txt
	@$(COMPILE) pyproject.toml --group dev --output-file requirements/dev.txt
	@$(COMPILE) --group build --output-file requirements/build.txt
	@$(COMPILE) --group bench --output-file requirements/bench.txt
	@$(COMPILE) --group dynamo --override requirements/dynamo-overrides.txt --output-file requirements/dynamo.txt
	@$(COMPILE) --group fuzz --output-file requirements/fuzz.txt
	@$(COMPILE_HERE) --group vllm --override requirements/vllm-overrides.txt --output-file requirements/vllm.txt
	@$(COMPILE_HERE) --group triton --output-file requirements/triton.txt

.PHONY: build
build: setup ## wheel and source distribution into dist/; SOURCE_DATE_EPOCH is honoured
	@$(BIN)/python -m build --no-isolation --outdir dist

# BuildKit runs as root, in namespaces of its own. The time of all that is in the image is the commit's.
.PHONY: image
image: setup ## the container image as build/image.tar, with its SBOM, without a registry or Docker (needs root, Go 1.26, Debian; 1 min)
	@$(MAKE) --no-print-directory tools TOOLS='buildkit runc'
	@SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct 2>/dev/null || true)} \
	  $(BIN)/python -m image --base='$(BASE)' --revision="$$(git rev-parse HEAD 2>/dev/null || true)" $(IMAGE_FLAGS)

.PHONY: clean
clean: ## remove environments, caches and build output
	@rm -rf .venv .venv-bench .venv-dynamo .venv-fuzz .venv-triton .venv-vllm dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find exporter tests -type d -name __pycache__ -prune -exec rm -rf {} +

.PHONY: clean-tools
clean-tools: ## remove what `make tools` built, and the Go compiler's cache (gigabytes)
	@tools/build.sh --clean
