# Each target does all the set-up it needs on a machine with Python 3.11 or newer, make and pip.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PAIRS ?= ../shared/data/CHASE_DB1
RUN ?= runs/chase-256
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help run demo test browser screenshots bench estimates load scale lint train generators evaluate openapi reference images clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# torch is installed first and by its exact version, so that a CPU build at hand is taken.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet torch==2.13.0 numpy --constraint constraints.txt
	$(BIN)/pip install --quiet --editable '.[embedded,evaluation,production,worker,test]' --constraint constraints.txt
	touch $@

run: $(READY) ## the service on http://127.0.0.1:8000, until Ctrl-C
	$(BIN)/fundusmith up

demo: $(READY) ## order 16 pairs of 256 px; leaves demo/dataset.zip and demo/preview.png
	$(BIN)/fundusmith demo

# Two processes take a file each, since most tests wait more than they compute; what computes in them
# has one thread, or they would slow each other.
test: $(READY) browser ## every test, with real servers and processes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile $(ARGS)

# What the tests of the web page run in; without it they say that they are skipped.
browser: ## Debian's Chromium, if it is missing and this is root
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
		&& apt-get -qq update && DEBIAN_FRONTEND=noninteractive \
		apt-get -qq install --yes --no-install-recommends chromium >/dev/null; } \
		|| echo "There is no Chromium here: the tests of the web page will be skipped."

screenshots: $(READY) browser ## docs/screenshots anew, of the service at ARGS=http://...
	$(BIN)/python -m tests.service.screenshots $(ARGS)

bench: $(READY) ## pairs a second of the service against the bare sampling loop, ms a stage
	$(BIN)/python -m bench $(ARGS)

estimates: $(READY) ## how right seconds_left is, on two orders
	$(BIN)/python -m bench.estimates $(ARGS)

load: $(READY) ## times of 200 status requests a second beside a running order
	$(BIN)/python -m bench.polling $(ARGS)

scale: $(READY) ## 1, 2, 4, 8 workers with stubs for devices: pairs a second, the database's share
	$(BIN)/python -m bench.scale $(ARGS)

lint: $(READY) ## style, types and the import contract
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

train: $(READY) ## train both stages on PAIRS into RUN; ARGS="--minutes 60 ..."
	$(BIN)/python -m models.training --pairs $(PAIRS) --run $(RUN) $(ARGS)

generators: $(READY) ## train generators on labelled and unlabelled photographs into RUN; ARGS="--pairs ..."
	$(BIN)/python -m models.training.generators --run $(RUN) $(ARGS)

evaluate: $(READY) ## a model against real PAIRS: useful, real, private? ARGS="--package ... --run ..."
	$(BIN)/python -m models.evaluation --pairs $(PAIRS) $(ARGS)

openapi: $(READY) ## write openapi.json anew
	$(BIN)/python -m app.openapi

reference: $(READY) ## write docs/reference anew
	$(BIN)/python -m app.reference

images: $(READY) ## build the images as root on Debian, without Docker, and try them; leaves .images
	$(BIN)/python -m docker.build
	$(BIN)/python -m docker.prove

clean: ## remove the virtual environment and what runs left
	rm -rf $(VENV) .fundusmith .images demo
