# Thin on purpose: every target is one command that also works without make (see the README).
.DEFAULT_GOAL := help
export PATH := $(CURDIR)/.venv/bin:$(PATH)
unexport PYTHONDONTWRITEBYTECODE
.PHONY: help setup run test lab ui anchors bench nightly publish lint clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

setup: ## make .venv from requirements.lock, if it is not current
	@python3 src/crm setup

run: setup ## run the pipeline and say where the report is
	@crm run

test: setup ## run the tests
	@crm test

lab: setup ## open the notebooks in JupyterLab
	jupyter lab notebooks

ui: setup ## open MLflow with all tracked runs
	mlflow ui --backend-store-uri sqlite:///mlflow.db

anchors: setup ## re-derive published figures on the public data (CRM_PUBLIC_DATA)
	@python tests/anchors.py

bench: setup ## measure speed and memory against named peers
	@python benchmarks/overhead.py
	@python benchmarks/lines.py
	@python benchmarks/rules.py
	@python benchmarks/profiles.py
	@python benchmarks/identity.py
	@python benchmarks/baskets.py
	@python benchmarks/clusters.py

nightly: setup ## what is too slow for CI: tests with lines of 200 MB, benchmarks at full size
	@CRM_NIGHTLY=1 crm test
	@python tests/anchors.py
	@python benchmarks/overhead.py
	@python benchmarks/lines.py --check
	@python benchmarks/rules.py --check
	@python benchmarks/profiles.py --check
	@python benchmarks/identity.py --check
	@python benchmarks/baskets.py --small --check
	@python benchmarks/clusters.py --check

publish: run ## copy the site to DIR=…
	@crm publish $(or $(DIR),$(error say where to: make publish DIR=folder))

lint: setup ## check style, and that notebooks carry no outputs
	@ruff check
	@ruff format --check src tests benchmarks
	@nbstripout --verify --keep-id --extra-keys metadata.language_info notebooks/*.ipynb

clean: ## remove everything that the pipeline made; keeps .venv, sources and raw files of yours
	@rm -rf data/staged data/clean data/tables data/features data/models data/vault data/truth data/raw/demo
	@rm -rf reports/index.html reports/pages reports/cards reports/notebooks reports/failed .crm/run .crm/spill
