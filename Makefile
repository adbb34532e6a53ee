# Two commands on a fresh machine with python3.11 and venv: `make demo` and `make test`.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
MEDIAPIPE_VENV := .venv-mediapipe
OFFICIAL_VENVS := .venv-official-tea .venv-official-core

.PHONY: demo test setup models lint types lock clean help

help: ## show this help
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: setup models ## run the whole gate on a rendered sequence and write build/demo/report.html
	$(BIN)/python -m pipeline.demo --out build/demo

test: setup models $(MEDIAPIPE_VENV)/.done $(OFFICIAL_VENVS:=/.done) ## lint, type-check and run every test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest

setup: $(VENV)/.done ## make the virtual environment from the hashed lock

$(VENV)/.done: requirements/dev.txt pyproject.toml
	@echo "setting up $(VENV) from requirements/dev.txt ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
	@$(BIN)/python -c "import cv2" || { echo "OpenCV needs system libraries: apt-get install libgl1 libglib2.0-0" >&2; exit 1; }
	@touch $@

models: setup ## get the model files that demo and tests need, hash-checked
	$(BIN)/livegate models pull core accurate authority sample

# mediapipe is the reference of the parity tests; it needs numpy<2 and lives alone.
$(MEDIAPIPE_VENV)/.done: requirements/mediapipe.txt
	@echo "setting up $(MEDIAPIPE_VENV) for the parity tests ..."
	@test -x $(MEDIAPIPE_VENV)/bin/python || $(PYTHON) -m venv $(MEDIAPIPE_VENV)
	$(MEDIAPIPE_VENV)/bin/python -m pip install --disable-pip-version-check --quiet --require-hashes -r $<
	@touch $@

# The service's own Python clients drive our gateway in the tests; their dependencies live alone.
.venv-official-%/.done: requirements/official-%.txt
	@echo "setting up .venv-official-$* for the tests with the service's client ..."
	@test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --disable-pip-version-check --quiet --require-hashes --no-deps -r $<
	@touch $@

lint: setup ## ruff, with fixes
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: setup ## mypy, strict
	$(BIN)/mypy

COMPILE := uv pip compile --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header \
  --python-version 3.11

lock: setup ## renew the hashed locks (needs uv)
	$(COMPILE) --universal --extra dev pyproject.toml -o requirements/dev.txt
	$(COMPILE) --universal --extra build --extra scale pyproject.toml -o requirements/gateway.txt
	for name in mediapipe official-tea peer-uniface peer-deepface peer-openvino; do \
	  $(COMPILE) requirements/$$name.in -o requirements/$$name.txt || exit 1; done
	$(COMPILE) --no-emit-package aliyun-python-sdk-core-v3 requirements/official-core.in -o requirements/official-core.txt

clean: ## remove what the targets above made
	rm -rf $(VENV) $(MEDIAPIPE_VENV) $(OFFICIAL_VENVS) build dist
