# Targets: demo, engines, test, test-suite, test-second-seed, compiled-tests, test-all, test-versions, test-tensorrt, test-device, test-runtimes, coverage, lint, docs, dist, bench, any-model, families, replay, clean.
# Of the tests: make test ROOM=steps takes one folder of tests/, make test FAST=1 leaves slow tests out; both may be given.
# Another interpreter: make PYTHON=/path/to/python3 test
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.PHONY: demo engines test test-suite test-second-seed compiled-tests test-all test-versions test-tensorrt test-device test-runtimes coverage lint docs dist bench any-model families replay clean

VENV := .venv
BIN := $(VENV)/bin
# What is imported is compiled then, and kept: of all that is installed that is a small part.
PIP := $(BIN)/python -m pip install -q --disable-pip-version-check --no-compile
unexport PYTHONDONTWRITEBYTECODE
WORKERS ?= 2
PYTEST = $(BIN)/pytest -n $(WORKERS) --dist loadgroup
CHOSEN = $(if $(ROOM),tests/$(ROOM)) -m "$(if $(FAST),not slow and )not exhaustive"

# The first interpreter of these versions that can make a virtual environment: one of PATH, else one that the machine keeps
# elsewhere.
is_python = $$p -c "import sys, ensurepip, venv; sys.exit('%d.%d' % sys.version_info[:2] != '$$v')" 2>/dev/null \
	&& { echo $$p; exit; }
first_python = $(shell for v in $(1); do for p in python$$v python3; do $(is_python); done; done; \
	for v in $(1); do for p in $(HOME)/.pyenv/versions/$$v.*/bin/python /opt/python/$$v*/bin/python; do $(is_python); done; done)

# TensorRT 8.5.3.1 has wheels up to Python 3.10, which comes first where engines are wanted: for 'make engines', and where
# there is a GPU. An interpreter given by hand is taken as it is.
VENV_TENSORRT := .venv-tensorrt
PYTHON310 ?= $(call first_python,3.10)
ENGINES = $(or $(filter engines,$(MAKECMDGOALS)),$(shell nvidia-smi -L 2>/dev/null | grep -om1 GPU))
ORDER = $(if $(ENGINES),3.10 3.12 3.11 3.13,3.12 3.11 3.10 3.13)
PYTHON ?= $(or $(if $(ENGINES),$(PYTHON310)),$(call first_python,$(ORDER)))
CHOICE = $(if $(filter file,$(origin PYTHON)),the first found of $(ORDER); TensorRT 8.5.3.1 has wheels up to 3.10,as asked for)

define NO_PYTHON
echo "error: no Python from 3.10 to 3.13 that can make a virtual environment was found." >&2; \
echo "help: on Debian and Ubuntu: apt-get install python3 python3-venv" >&2; \
echo "help: or name an interpreter: make PYTHON=/path/to/python3.11 $(or $(MAKECMDGOALS),demo)" >&2; \
exit 1
endef

# A real run: from the graph to the file for TensorRT.
demo: $(VENV)/installed-tensorflow
	$(BIN)/surgeon demo

# TensorRT beside the rest, so that engines can be built.
engines: $(VENV)/installed-tensorrt
	$(BIN)/surgeon doctor

test: $(if $(ROOM)$(FAST),,test-second-seed) test-suite

test-suite: $(VENV)/installed-dev
	PYTHONHASHSEED=0 $(PYTEST) $(CHOSEN)

# Tests are compiled when they are imported first, which takes longer than the import: once here, else in each worker.
compiled-tests: $(VENV)/installed-dev
	$(BIN)/pytest -qqq --collect-only -m "not exhaustive" > build/collected.log

# Another hash seed than that of the suite: an order that comes from a set differs between them. One process: to load
# TensorFlow in two takes longer than the tests do.
test-second-seed: $(VENV)/installed-dev
	PYTHONHASHSEED=4711 $(BIN)/pytest -q -m "determinism and not slow and not exhaustive"

# With the tests that take minutes together: Model Explorer in a browser, a training, one commit recorded twice, further
# variants. What is random is tried more often.
test-all: $(VENV)/installed-dev
	PYTHONHASHSEED=0 $(PYTEST)

# Everything on every supported Python, and on the first with the lowest versions that setup.cfg declares: some hours.
test-versions:
	@status=0; for versions in "3.10 lowest" "3.10 newest" "3.11 newest" "3.12 newest" "3.13 newest"; do \
		.ci/versions $$versions whole || status=1; done; exit $$status

# Lines and branches that the tests reach, a total for each room, then each file in build/coverage/index.html.
# Child processes are not measured.
coverage: $(VENV)/installed-dev
	$(PYTEST) -q --cov --cov-report= --cov-report=html:build/coverage $(CHOSEN)
	@for room in surgeon/*.py surgeon/*/ plugins/; do \
		total=$$($(BIN)/coverage report --format=total --include="$${room%/}$$(test -f $$room || echo '/**')" 2>/dev/null) \
		&& printf '%4s%%  %s\n' "$$total" "$$room"; done; true
	@echo "build/coverage/index.html"

# The genuine plugin registry, on a CPU. Without Python 3.10 there is nothing to compare with, and that is said. GENUINE=1 leaves
# out what stands in for TensorRT: the suite runs that.
test-tensorrt:
	@if [ -z "$(PYTHON310)" ]; then \
		echo "skipped: no Python 3.10 was found, the last that TensorRT 8.5.3.1 was built for; nothing was compared."; \
		echo "help: name one: make PYTHON310=/path/to/python3.10 test-tensorrt"; \
	else $(MAKE) --no-print-directory $(VENV_TENSORRT)/tested; fi

.PHONY: $(VENV_TENSORRT)/tested
$(VENV_TENSORRT)/tested: $(VENV_TENSORRT)/installed
	libraries=$$(printf '%s:' $(VENV_TENSORRT)/lib/python3.10/site-packages/nvidia/*/lib); \
	LD_LIBRARY_PATH=$${libraries}$(VENV_TENSORRT)/lib/python3.10/site-packages/tensorrt \
		$(VENV_TENSORRT)/bin/pytest -q -m "not exhaustive" $(if $(GENUINE),-k "genuine or test_registry") \
		tests/catalog/test_registry.py tests/engine

# What other projects give comes first, and may be installed beside $(VENV): this project is only built once at a time.
$(VENV_TENSORRT)/required: setup.cfg
	@echo "installing TensorRT 8.5.3.1 for $$($(PYTHON310) --version) (1.5 GB, once)"
	$(PYTHON310) -m venv $(VENV_TENSORRT)
	@$(PYTHON310) -c 'import configparser; c = configparser.ConfigParser(interpolation=None); c.read("setup.cfg"); \
		print(c["options"]["install_requires"], c["options.extras_require"]["tensorrt"], sep="\n")' > $@.txt
	$(VENV_TENSORRT)/bin/python -m pip install -q --disable-pip-version-check --no-compile -r $@.txt onnx pytest hypothesis
	@touch $@

$(VENV_TENSORRT)/installed: $(VENV_TENSORRT)/required
	$(VENV_TENSORRT)/bin/python -m pip install -q --disable-pip-version-check --no-compile --no-deps --editable .
	@touch $@

.PHONY: required-tensorrt
required-tensorrt:
	@if [ -n "$(PYTHON310)" ]; then $(MAKE) --no-print-directory $(VENV_TENSORRT)/required; fi

# The program of a device under the Pythons that devices have, where these are installed; 3.6 with the oldest libraries.
DEVICE_PYTHONS := 3.6 3.8 3.10
test-device: $(VENV)/installed-tensorflow
	for version in $(DEVICE_PYTHONS); do \
		python=$$(ls -d $$HOME/.pyenv/versions/$$version.*/bin/python 2>/dev/null | tail -1); \
		python=$${python:-$$(command -v python$$version)}; \
		[ -z "$$python" ] || [ -x .venv-device/$$version/bin/pip ] || $$python -m venv .venv-device/$$version; \
		case $$version in 3.6) libraries='numpy==1.13.3 pillow==5.1.0';; *) libraries='numpy pillow';; esac; \
		[ -z "$$python" ] || .venv-device/$$version/bin/pip install -q --disable-pip-version-check $$libraries; \
	done
	$(BIN)/pytest -q tests/packaging

# Other runtimes with the ONNX files, on a CPU. Their tests are skipped where they are not installed.
test-runtimes: $(VENV)/installed-runtimes
	$(BIN)/pytest -q tests/formats/onnx/test_runtimes.py

$(VENV)/installed-runtimes: $(VENV)/installed-dev
	@echo "installing OpenVINO, OpenCV 5 and TensorRT-RTX (550 MB, once)"
	$(PIP) openvino 'opencv-python-headless>=5' tensorrt_rtx_cu12_libs tensorrt_rtx_cu12_bindings
	@touch $@

lint: $(VENV)/installed-dev
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m ruff check .
	$(BIN)/python -m mypy

# The site, from the pages of docs and the notebooks; a warning is an error. It opens without a server.
docs: $(VENV)/installed-dev
	$(BIN)/python docs/generate.py --check
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs build/docs
	@echo "build/docs/index.html"

# The sdist and the wheel that is built from it, of what is committed, with checked metadata. A commit gives the same
# wheel each time.
dist: $(VENV)/installed-dev
	@test -z "$$(git status --porcelain)" || echo "warning: uncommitted changes are left out" >&2
	rm -rf dist build/dist && mkdir -p build/dist
	git archive HEAD | tar -x -C build/dist
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python -m build --no-isolation --outdir dist build/dist
	$(BIN)/python -m twine check --strict dist/*
	@cd dist && sha256sum *

bench: $(VENV)/installed-tensorflow
	$(BIN)/python bench/run.py

# Networks that detect nothing, by plain tf2onnx and by surgeon: the table of docs/any-model.md.
any-model: $(VENV)/installed-tensorflow
	$(BIN)/python bench/any_model_graphs.py build/any-model/graphs
	$(BIN)/python bench/any_model.py build/any-model/graphs -o build/any-model/$$(git rev-parse --short HEAD) --page docs/any-model.md

# Every family of detectors, from init to each target: the table of docs/families/index.md.
families: $(VENV)/installed-tensorflow
	$(BIN)/python bench/families.py -o build/families/$$(git rev-parse --short HEAD) --page docs/families/index.md

# What the command line does to a corpus of graphs, under the name of the commit; docs/replay.md compares two of them.
replay: $(VENV)/installed-dev
	$(BIN)/python bench/replay.py record -o build/replay/$$(git rev-parse --short HEAD).json.gz

clean:
	rm -rf $(VENV) $(VENV_TENSORRT) .venv-versions build dist .coverage docs/site notebooks/work *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@if [ -z "$(PYTHON)" ]; then $(NO_PYTHON); fi
	@echo "$(VENV): $$($(PYTHON) --version), $(CHOICE)"
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed-tensorflow: setup.cfg pyproject.toml | $(VENV)/bin/python
	@echo "installing the package with TensorFlow for the CPU (a few minutes, once)"
	@$(BIN)/python -m pip uninstall -q -y --disable-pip-version-check surgeon 2> /dev/null  # the old name
	$(PIP) --editable '.[tensorflow,pictures]'
	@touch $@

$(VENV)/installed-tensorrt: $(VENV)/installed-tensorflow
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info[:2] > (3, 10))' || { \
		echo "error: $(VENV) is of $$($(BIN)/python --version), and TensorRT 8.5.3.1 has wheels up to Python 3.10" >&2; \
		echo "help: install Python 3.10, then make clean engines" >&2; exit 1; }
	@echo "installing TensorRT 8.5.3.1 (1.5 GB, once)"
	$(PIP) --editable '.[tensorrt]'
	@touch $@

$(VENV)/installed-dev: setup.cfg pyproject.toml | $(VENV)/bin/python
	@echo "installing the package with TensorFlow for the CPU and the development tools (a few minutes, once)"
	@$(BIN)/python -m pip uninstall -q -y --disable-pip-version-check surgeon 2> /dev/null  # the old name
	$(PIP) --editable '.[tensorflow,pictures,dev,training,onnx]'
	@touch $(VENV)/installed-tensorflow $@
