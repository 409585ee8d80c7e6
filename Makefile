# Each target installs what it needs into .venv, with the versions of constraints.txt.

PYTHON ?= python3
WORKERS ?= 2
FIGURES := allocations architecture budget diagnosis moons residuals samples smoothing warm_start
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

LIGHT := tests/test_boundaries.py tests/cli/test_cli.py tests/cli/test_start.py \
	tests/data/test_data.py tests/models/test_caching.py tests/models/test_checkpoint.py \
	tests/sampling/test_pipeline.py tests/sampling/test_saving.py tests/solving/test_references.py \
	tests/training/test_config.py

# What needs peft: with it installed, all that loads diffusers loads transformers too.
ADAPTERS := tests/models/adapters.py tests/docs/adapters.py

.PHONY: help demo test lint types docs lowest newest adapters sdist browse check figures model clean

help:
	@echo "make demo    draw digits under three budgets: a table, and demo.png"
	@echo "make test    run the tests, in two processes of one thread (WORKERS=4 for four)"
	@echo "make lint    check style and format"
	@echo "make types   check types"
	@echo "make docs    build the site into site/"
	@echo "make check   all of the last four"
	@echo "make lowest  some of the tests, with the lowest versions that pyproject.toml allows"
	@echo "make newest  the same, with the newest that there are"
	@echo "make adapters run the tests of LoRA, which needs peft and transformers"
	@echo "make sdist   build the source distribution, and run some of its own tests in it"
	@echo "make browse  open every page of the site in headless Chromium"
	@echo "make figures draw the figures of the site again"
	@echo "make model   train the digits of the package again, into runs/digits (about 20 minutes)"

demo: .venv/user
	$(BIN)/fpdm demo --out demo.png

test: .venv/developer
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal

lint: .venv/developer
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/developer
	$(BIN)/mypy

docs: .venv/developer
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# These and `adapters` share the PyTorch of .venv, of which there is one: what they put before it are
# other versions of the rest, or more.
lowest newest: %: .venv-%/ready
	OMP_NUM_THREADS=1 .venv-$*/bin/python -m pytest --numprocesses $(WORKERS) -p no:cacheprovider $(LIGHT)

adapters: .venv-adapters/ready
	OMP_NUM_THREADS=1 .venv-adapters/bin/python -m pytest --numprocesses $(WORKERS) -p no:cacheprovider $(ADAPTERS)

sdist: .venv/developer
	rm -rf build/sdist
	$(BIN)/python -c "from setuptools import build_meta; build_meta.build_sdist('build/sdist')"
	cd build/sdist && tar -xzf fpdm-*.tar.gz && rm fpdm-*.tar.gz && mv fpdm-* unpacked
	cd build/sdist/unpacked && PYTHONPATH="$$PWD:$$PWD/plugins" OMP_NUM_THREADS=1 \
	  $(CURDIR)/$(BIN)/python -m pytest -p no:cacheprovider tests/docs/test_paths.py \
	  tests/sampling/test_saving.py tests/models/test_checkpoint.py tests/plugins/test_example.py

browse: .venv/browser docs
	$(BIN)/python -m pytest --numprocesses $(WORKERS) tests/docs/browse.py

check: lint types docs test

figures: .venv/developer .venv-adapters/ready
	for figure in $(FIGURES); do $(BIN)/python docs/figures/$$figure.py || exit 1; done
	.venv-adapters/bin/python docs/figures/adapters.py

model: .venv/user
	$(BIN)/fpdm train digits --out runs/digits

clean:
	rm -rf .venv .venv-lowest .venv-newest .venv-adapters site build *.egg-info

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/user: pyproject.toml constraints.txt | .venv/bin/python
	@echo "Installing fpdm into .venv ..."
	$(PIP) --editable '.[eval]'
	@touch $@

.venv/developer: pyproject.toml constraints.txt | .venv/bin/python
	@echo "Installing fpdm and what its developers need into .venv ..."
	$(PIP) --editable '.[dev]'
	@touch $@

.venv-lowest/wanted.txt: pyproject.toml tests/bounds.py | .venv/developer
	@mkdir -p .venv-lowest
	$(BIN)/python tests/bounds.py lowest > $@

.venv-newest/wanted.txt: pyproject.toml constraints.txt tests/bounds.py | .venv/developer
	@mkdir -p .venv-newest
	$(BIN)/python tests/bounds.py newest > $@

.venv-adapters/wanted.txt: pyproject.toml constraints.txt | .venv/developer
	@mkdir -p .venv-adapters
	cp constraints.txt $@

.venv-%/ready: EXTRAS := eval,plot
.venv-adapters/ready: EXTRAS := eval,lora
.venv-%/ready: .venv-%/wanted.txt
	@echo "Installing what make $* needs into .venv-$* ..."
	$(BIN)/python -m venv .venv-$*
	$(BIN)/python tests/bounds.py here > "$$(.venv-$*/bin/python tests/bounds.py here)/beside.pth"
	.venv-$*/bin/python -m pip --disable-pip-version-check install --quiet --upgrade \
	  --upgrade-strategy $(if $(filter newest,$*),eager,only-if-needed) \
	  --constraint .venv-$*/wanted.txt --editable '.[$(EXTRAS)]' pytest pytest-xdist hypothesis
	@touch $@

.venv/browser: .venv/developer
	$(PIP) --editable '.[dev,browser]'
	@touch $@
