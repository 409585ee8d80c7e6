# Each target installs what it needs into .venv, with the versions of constraints.txt.

PYTHON ?= python3
WORKERS ?= 2
FIGURES := allocations architecture budget residuals samples smoothing warm_start
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

.PHONY: help demo test lint types docs browse check figures model clean

help:
	@echo "make demo    draw digits under three budgets: a table, and demo.png"
	@echo "make test    run the tests, in two processes of one thread (WORKERS=4 for four)"
	@echo "make lint    check style and format"
	@echo "make types   check types"
	@echo "make docs    build the site into site/"
	@echo "make check   all of the last four"
	@echo "make browse  open every page of the site in headless Chromium"
	@echo "make figures draw the figures of the site again"
	@echo "make model   train the digits of the package again, into runs/digits (about 12 minutes)"

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

browse: .venv/browser docs
	$(BIN)/python -m pytest --numprocesses $(WORKERS) tests/docs/browse.py

check: lint types docs test

figures: .venv/developer
	for figure in $(FIGURES); do $(BIN)/python docs/figures/$$figure.py || exit 1; done

model: .venv/user
	$(BIN)/fpdm train digits --out runs/digits

clean:
	rm -rf .venv site build *.egg-info

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

.venv/browser: .venv/developer
	$(PIP) --editable '.[dev,browser]'
	@touch $@
