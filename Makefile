# make demo: set up, create data blocks, run the pipeline on them.   make test: set up, run all tests.
# make check: ruff, mypy and the import contracts.   make docs: build the documentation site into build/site.
# make mutants: run the tests on a sample of small defects; MUTANTS sets --sample, --seed and --minutes.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WORKERS ?= 3
# Each step of a run is a process of its own: without compiled files each would compile the project again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test test-kubernetes kubernetes-tools benchmark-control-plane test-images containers-tools image-scan
.PHONY: test-node node-tools disk-for-images disk-for-node requirements check docs nightly mutants clean
help:
	@sed -n 's/^# //p' $(MAKEFILE_LIST)

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python %d.%d is too old; this needs 3.11 or later: make PYTHON=/path/to/python3.11" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: $(STAMP)
	$(BIN)/python demo_blocks.py create --days 10 --exist-ok
	$(BIN)/python run_pipeline.py --local

test: $(STAMP)
	$(BIN)/pytest -n $(WORKERS) --dist worksteal

kubernetes-tools:
	tools/kubernetes/build.sh

test-kubernetes: $(STAMP) $(if $(PRIVATEKUBE_TEST_KUBECONFIG),,kubernetes-tools)
	$(BIN)/pytest -n $(WORKERS) --dist worksteal -m kubernetes

benchmark-control-plane: $(STAMP) kubernetes-tools
	PYTHONPATH=. $(BIN)/python benchmarks/control_plane.py

test-images: $(STAMP) containers-tools disk-for-images
	PRIVATEKUBE_TEST_IMAGES=1 $(BIN)/pytest -m containers --timeout=3000

containers-tools:
	tools/containers/install.sh

disk-for-images:
	tools/containers/require-disk.sh 16

disk-for-node:
	tools/containers/require-disk.sh 20

node-tools:
	tools/kubernetes/node/install.sh
	tools/kubernetes/node/build.sh

test-node: $(STAMP) node-tools disk-for-node
	$(BIN)/pytest -n 0 -m node

PIN = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -c constraints.txt
requirements: $(STAMP)
	$(PIN) pyproject.toml --extra control -o components/bases/control/requirements.txt
	$(PIN) pyproject.toml --extra training --extra cluster -o components/bases/training/requirements.txt
	$(PIN) pyproject.toml --extra controller -o manifests/controller/requirements.txt
	$(PIN) pyproject.toml --extra page --extra cluster -o manifests/page/requirements.txt
	$(PIN) pyproject.toml --extra blocks --extra cluster --extra spark -o manifests/spark/requirements.txt
	echo setuptools | $(PIN) - -o manifests/spark/build-requirements.txt
	echo opendp | $(PIN) - -o components/dp_preprocess/requirements.txt

image-scan:
	tools/containers/scan.sh

nightly: $(STAMP)
	HYPOTHESIS_PROFILE=nightly $(BIN)/pytest -n $(WORKERS) --dist worksteal --timeout=7200

MUTANTS ?= --sample 100 --minutes 60
mutants: $(STAMP)
	$(BIN)/uv run --quiet --isolated --no-project --python $(BIN)/python --with-requirements tools/mutants/requirements.txt tools/mutants/mutate.py $(MUTANTS)

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
