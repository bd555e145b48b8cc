# Two commands for everybody: `make demo` and `make test`. Both do all their own set-up, in .venv.
# `make help` lists the rest.

PYTHON ?= python3
VENV   ?= .venv
TIERS  ?= unit db kernel
ARGS   ?=
# Tests wait more than they work: for the kernel, for a host that boots.
JOBS   ?= 3
PASSES ?= 1000
BENCHES ?=
SEED   ?= 0
BIN     = $(VENV)/bin

export PYTHON VENV JOBS ARGS

.PHONY: demo
demo: ## show what multinic does, in a network namespace of its own
	@scripts/setup.sh run
	@$(BIN)/multinic demo

.PHONY: test
test: ## prove the product, in about ten minutes; everything: make test TIERS=all [ARGS="-k name"] [JOBS=1]
	@scripts/setup.sh run test
	@$(if $(filter fleet k8s all,$(TIERS)),scripts/setup.sh fleet)
	@$(if $(filter web all,$(TIERS)),scripts/setup.sh web)
	@scripts/packages.sh $(TIERS)
	@scripts/test.sh $(TIERS)

.PHONY: test-again
test-again: ## run what failed or did not run in the last `make test`, one test after the other
	@scripts/setup.sh run test
	@scripts/test.sh --again

.PHONY: coverage
coverage: ## run everything and measure what of the program it ran: 90 % of the lines and branches must be
	@$(MAKE) --no-print-directory test TIERS=all COVERAGE=yes

.PHONY: soak
soak: ## run many passes with everything happening at random: make soak [PASSES=1000] [SEED=7]
	@scripts/setup.sh run test
	$(BIN)/python -m tests.soak --passes $(PASSES) --seed $(SEED)

.PHONY: bench
bench: ## measure what it costs: one table and one JSON file in build/bench/; make bench [BENCHES="idle fleet"] [SIZE=smallest]
	@scripts/setup.sh run test
	@scripts/setup.sh web
	@scripts/packages.sh db kernel host
	$(BIN)/python bench/every.py $(if $(SIZE),--$(SIZE)) $(BENCHES)

.PHONY: golden
golden: ## write the golden files anew from what the renderers say now; read the diff before you commit it
	@scripts/setup.sh run test
	$(BIN)/python -m pytest --tiers=unit tests/golden --update-golden

.PHONY: texts
texts: ## list the texts of the command line that are not in its Korean catalogue yet, as entries for it
	@scripts/setup.sh run test
	@$(BIN)/python -m tests.texts

.PHONY: translations
translations: ## compare the pages in Korean with their English originals; once they are alike: python -m tests.translations --translated
	@scripts/setup.sh run test
	@$(BIN)/python -m tests.translations

.PHONY: golden-chart
golden-chart: ## write anew what the chart renders, in tests/fleet/chart/; needs what the fleet tier needs
	@scripts/setup.sh run test
	@scripts/setup.sh fleet
	@scripts/packages.sh fleet
	$(BIN)/python -m pytest --tiers="unit fleet" tests/golden tests/fleet/test_chart.py --update-golden

.PHONY: demo-fleet
demo-fleet: ## show the dashboard with 200 nodes that do not exist
	@scripts/setup.sh web
	@$(VENV)-web/bin/multinic demo --fleet

.PHONY: docs
docs: ## build the documentation as a site, in build/docs; a broken link or anchor ends it
	@scripts/setup.sh docs
	@$(VENV)-docs/bin/sphinx-build --quiet --fresh-env --fail-on-warning --keep-going -c docs/site . build/docs
	@echo "build/docs/index.html"

.PHONY: pages
pages: ## write anew what the documentation shows of the program: commands, settings, screens; then read the diff
	@scripts/setup.sh run test
	$(BIN)/python scripts/pages.py
	$(BIN)/python -m tests.kernel.screens

.PHONY: screenshots
screenshots: ## take the pictures in docs/dashboard/ anew
	@scripts/setup.sh web
	@scripts/packages.sh web
	$(VENV)-web/bin/python -m tests.web.screenshots

.PHONY: test-pythons
test-pythons: ## run the unit tier on every supported Python of this machine and the newest, and more with the lowest versions
	@scripts/test-pythons.sh

.PHONY: lint
lint: ## check style, types, who imports whom, and the Dockerfile
	@scripts/setup.sh run test lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint packaging/container/Dockerfile

.PHONY: format
format: ## let ruff put the style right
	@scripts/setup.sh run test lint
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: deb rpm
deb rpm: ## build the package into dist/, and check it with lintian or rpmlint
	@scripts/setup.sh run
	@packaging/build.sh $@ lint-$@
	@ls dist

.PHONY: lock
lock: ## choose the newest versions that pyproject.toml allows and write them to requirements/
	@scripts/setup.sh run
	@scripts/lock.sh

.PHONY: clean
clean: ## remove what the other targets made
	rm -rf $(VENV) $(VENV)-docs $(VENV)-fleet $(VENV)-web build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

.PHONY: help
help:
	@sed -n 's/^\([a-z -]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16
