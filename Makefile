# Everything is made in .venv/ on first use: a Python 3.11+, make and a package index are enough.
.DEFAULT_GOAL := help
unexport PYTHONDONTWRITEBYTECODE # .venv and the caches are ours, and starts are quicker
.PHONY: help setup demo test test-matrix crash lint format lab notebooks bench lock clean

help:
	@echo 'make demo     the main job, headless, in the terminal'
	@echo 'make test     formatting, lint, types, rooms, then every test'
	@echo 'make test-matrix  what needs a server, on PostgreSQL 15, 16, 17 and 18'
	@echo 'make crash    processes killed at any moment: ROUNDS=100 of them, SEED=n repeats one'
	@echo 'make lab      JupyterLab on notebooks/, with the embedded servers running'
	@echo 'make notebooks run the notebooks anew and keep their outputs'
	@echo 'make bench    the benchmarks, as ratios of one run'
	@echo 'make lint     what `make test` checks before the tests'
	@echo 'make format   format the code and mend what can be mended'
	@echo 'make lock     pin the newest versions in constraints.txt'
	@echo 'make setup    only the environment: .venv/bin/qb'
	@echo 'make clean    remove .venv and caches'

setup:
	@sh .ci/setup

demo: setup
	@.venv/bin/qb tour

test: lint
	@.venv/bin/python .ci/run_tests.py $(ARGS)

test-matrix: setup
	@.venv/bin/python .ci/matrix.py $(ARGS)

crash: setup
	@ROUNDS=$(or $(ROUNDS),100) RACES=$(or $(RACES),20) .venv/bin/python .ci/run_tests.py -m crash $(ARGS)

lint: setup
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-logo

format: setup
	@.venv/bin/ruff format .
	@.venv/bin/ruff check --fix .

lab: setup
	@cd notebooks && ../.venv/bin/qb dev up && \
	if [ "$$(id -u)" = 0 ]; then set -- --allow-root; else set --; fi && \
	exec ../.venv/bin/jupyter lab "$$@" $(ARGS) 01_quickstart.ipynb

notebooks: setup
	@PATH="$(CURDIR)/.venv/bin:$$PATH" .venv/bin/python .ci/run_notebooks.py $(ARGS)

bench: setup
	@.venv/bin/python -m tests.benchmarks $(ARGS)

lock: setup
	@sh .ci/lock

clean:
	rm -rf .venv .matrix .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info build
