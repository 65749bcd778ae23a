# Every command of the house; `make` alone lists them.
# Needs: make, git and the system's own python3 on Debian 12 or 13. Everything else is fetched by `make setup`,
# from lock files with hashes. PYTHON is the system's interpreter since Triton's Python stub embeds its libpython.

PYTHON      ?= /usr/bin/python3
VENV        ?= .venv
TRITON_VENV ?= .venv-triton
WAN_VENV    ?= .venv-wan
TOOLS_VENV  ?= .venv-tools
PY          := $(VENV)/bin/python
UV          := $(VENV)/bin/uv pip

export PYTHONPATH := .:gen
export UV_SYSTEM_CERTS ?= 1
export UV_PYTHON_DOWNLOADS ?= never
export PIP_DISABLE_PIP_VERSION_CHECK ?= 1
export PIP_ROOT_USER_ACTION ?= ignore

PEERS       := litellm bentoml ray
TRITON_LOCK := services/generation/triton/requirements.lock
WAN         := services/generation/triton/wan
TOOLS_LOCK  := deploy/k8s/requirements.lock
PROTOS      := $(shell find protos -name '*.proto' 2>/dev/null)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup setup-wan protos lock packages packages-tests packages-bench packages-telemetry bench bench-peers docs demo up down status logs clean destroy k8s \
        test test-long test-all test-steady tiers test-unit test-integration test-e2e test-faults chaos protocol test-wan lint fmt bare promises promises-mutants

##@ Start here
help: ## List every target
	@awk 'BEGIN {FS = ":.*## "} /^##@ / {printf "\n%s\n", substr($$0, 5)} \
	      /^[a-z0-9-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' Makefile

demo: setup protos ## Make one video through the whole suite [IMAGE=path PROMPT="..."]
	@$(PY) -m deploy.local demo --image "$$IMAGE" --prompt "$$PROMPT"

##@ The suite on this machine
up: setup protos $(if $(filter 1,$(TELEMETRY)),packages-telemetry) ## Start the whole suite in the foreground; Ctrl-C stops it [TELEMETRY=1]
	@$(PY) -m deploy.local up $(if $(filter 1,$(TELEMETRY)),--telemetry)

down: $(VENV)/.ok ## Stop the running suite
	@$(PY) -m deploy.local down

status: $(VENV)/.ok ## Say which parts are ready
	@$(PY) -m deploy.local status

logs: $(VENV)/.ok ## Follow the logs of all parts
	@$(PY) -m deploy.local logs

clean: ## Remove generated code and caches (data, keys and environments stay)
	@$(PYTHON) -B -m deploy.local clean

destroy: ## Remove the data and the keys of the suite, for good [CONFIRM=yes]
	@$(PYTHON) -B -m deploy.local destroy --confirm "$(CONFIRM)"

##@ Build
setup: packages $(VENV)/.ok $(TRITON_VENV)/.ok ## Make the Python environments from the lock files

setup-wan: setup $(WAN_VENV)/.ok ## Make the environment of the models that need torch [TORCH=full]

protos: gen/.stamp ## Generate stubs, descriptors, Envoy's routes and the API reference into gen/

openapi: protos ## Write the OpenAPI document, and say where it is
	@echo gen/openapi.json

lock: $(VENV)/.ok ## Resolve the dependencies anew and write the lock files
	$(UV) compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	  --upgrade --extra test pyproject.toml -o requirements.lock
	$(UV) compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	  --upgrade --no-deps services/generation/triton/requirements.in -o $(TRITON_LOCK)
	$(UV) compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	  --upgrade --override $(WAN)/without_torch.txt $(WAN)/requirements.in -o $(WAN)/requirements.lock
	$(UV) compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	  --upgrade deploy/k8s/requirements.in -o $(TOOLS_LOCK)
	$(UV) compile -q --python-version 3.12 --python-platform linux --generate-hashes --no-annotate --no-header \
	  --upgrade --constraint $(WAN)/requirements.lock deploy/k8s/wan.in -o deploy/k8s/wan.lock

##@ Check
# What is played, two tests at a time, and how long each folder may take stands in tests/tiers.yaml.
test: packages-tests setup protos lint $(TOOLS_VENV)/.ok ## Run lint and the tests; the longest tables play in turns
	@$(PY) -m tests.support.play test

test-long: packages-tests setup protos setup-wan $(TOOLS_VENV)/.ok ## Run what test left out, all of chaos, and test-wan
	@$(PY) -m tests.support.play long

test-all: packages-tests setup protos lint setup-wan $(TOOLS_VENV)/.ok ## Run every test once, without turns
	@$(PY) -m tests.support.play all

test-steady: packages-tests setup protos $(TOOLS_VENV)/.ok ## Repeat what waits, under load [TIMES=10 SHARD=1/4 PATHS=tests/e2e]
	@$(PY) -m tests.support.steady --times $(or $(TIMES),10) $(if $(SHARD),--shard $(SHARD)) $(PATHS)

tiers: $(VENV)/.ok ## Note the last runs' seconds in tests/tiers.yaml; only with nothing beside
	@$(PY) -m tests.support.play note

test-unit: setup protos $(TOOLS_VENV)/.ok ## Run the unit tests
	$(PY) -m pytest -q -n 2 --dist loadfile tests/unit

test-integration: packages-tests setup protos ## Run the tests that join two or more parts
	$(PY) -m pytest -q tests/integration

test-e2e: packages-tests setup protos ## Run the tests through Envoy
	$(PY) -m pytest -q -n 2 --dist loadfile tests/e2e

test-faults: setup protos ## Run the tests that kill and freeze processes
	$(PY) -m pytest -q -n 2 tests/faults --ignore tests/faults/test_chaos.py
	$(PY) -m pytest -q tests/faults/test_chaos.py

chaos: setup protos ## Harm parts at random under load [ROUNDS=30 SEED=n KIND=kill-worker STAGES=1]
	@$(PY) -m tests.faults.chaos --rounds $(or $(ROUNDS),30) --stages $(or $(STAGES),1) \
	  $(if $(SEED),--seed $(SEED)) $(if $(KIND),--kinds $(KIND))

protocol: setup protos ## Explore the life of a video, one more fault than the tests [SCOPES="life make"]
	@$(PY) -m tests.protocol $(SCOPES)

test-wan: setup protos setup-wan ## Run the pipeline model on tiny weights (installs torch)
	$(PY) -m pytest -q tests/wan

lint: $(VENV)/.ok gen/.stamp ## Check the style and types of Python and the contracts
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(PY) -m deploy.protos lint
	$(PY) -m mypy services deploy

k8s: setup protos $(TOOLS_VENV)/.ok ## Render the manifests for Kubernetes and check them
	@$(PY) -m deploy.k8s check

docs: $(VENV)/.ok ## Write the list of all metrics into docs/operations.md
	$(PY) -m deploy.metrics

fmt: $(VENV)/.ok ## Format Python and protos
	$(VENV)/bin/ruff check --fix-only --quiet .
	$(VENV)/bin/ruff format .
	$(PY) -m deploy.protos format

bench: packages-bench setup protos ## Measure the suite on this machine [ROUNDS=5], or beside an older commit [AGAINST=commit STARTS=3 PAIRS=8]
	@$(if $(AGAINST),$(PY) -m bench.against $(AGAINST) --starts $(or $(STARTS),3) --pairs $(or $(PAIRS),8),$(PY) -m bench --rounds $(or $(ROUNDS),5))

bare: ## Run a target in a bare Debian; needs root [DEBIAN=trixie TARGET=demo AS=guest]
	@AS=$(if $(filter default,$(origin AS)),root,$(AS)) deploy/debian.sh $(or $(DEBIAN),trixie) $(or $(TARGET),demo)

bench-peers: packages-bench setup protos $(PEERS:%=.venv-peer-%/.ok) ## The same of LiteLLM, BentoML and Ray Serve [ROUNDS=3]
	@$(PY) -m bench.peers --rounds $(or $(ROUNDS),3)

promises: $(VENV)/.ok ## Print which promises are proven, partial, absent or recorded
	@$(PY) -m tests.promises

promises-mutants: setup protos ## Break each proven promise; its tests must turn red [ID="CARRY-1.1 ..."]
	@$(PY) -m tests.promises mutants $(ID)

# The system's packages come first: what is missing is said before anything is fetched.
packages:
	@$(PYTHON) -m deploy.local.packages

packages-tests:
	@$(PYTHON) -m deploy.local.packages tests

packages-telemetry:
	@$(PYTHON) -m deploy.local.packages telemetry

packages-bench:
	@$(PYTHON) -m deploy.local.packages bench

# xds-protos brings old copies of opentelemetry-proto's modules to the same places: whoever comes last wins.
$(VENV)/.ok: requirements.lock | packages
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > $(VENV)/uv.lock
	$(PY) -m pip install -q --require-hashes -r $(VENV)/uv.lock
	$(UV) sync -q --python $(PY) --require-hashes requirements.lock
	sed -n '/^opentelemetry-proto==/,/[^\\]$$/p' requirements.lock > $(VENV)/last.lock
	$(UV) install -q --python $(PY) --reinstall --no-deps --require-hashes -r $(VENV)/last.lock
	touch $@

$(TRITON_VENV)/.ok: $(TRITON_LOCK) $(VENV)/.ok | packages
	test -x $(TRITON_VENV)/bin/python || $(PYTHON) -m venv --without-pip $(TRITON_VENV)
	$(UV) sync -q --python $(TRITON_VENV)/bin/python --require-hashes $(TRITON_LOCK)
	touch $@

$(WAN_VENV)/.ok: $(TRITON_LOCK) $(WAN)/requirements.lock deploy/local/torch.py $(VENV)/.ok | packages
	test -x $(WAN_VENV)/bin/python || $(PYTHON) -m venv $(WAN_VENV)
	$(UV) install -q --no-deps --python $(WAN_VENV)/bin/python --require-hashes \
	  -r $(TRITON_LOCK) -r $(WAN)/requirements.lock
	$(PY) -m deploy.local.torch $(WAN_VENV) $(TORCH)
	touch $@

# The scopes in the OpenAPI document come from the tables POLICY of the services.
# What looks at manifests and Dockerfiles; some of it comes for Linux x86_64 only.
$(TOOLS_VENV)/.ok: $(TOOLS_LOCK) $(VENV)/.ok | packages
	test -x $(TOOLS_VENV)/bin/python || $(PYTHON) -m venv --without-pip $(TOOLS_VENV)
	$(UV) sync -q --python $(TOOLS_VENV)/bin/python --require-hashes $(TOOLS_LOCK)
	touch $@

.venv-peer-%/.ok: bench/peers/%.lock $(VENV)/.ok | packages
	test -x $(@D)/bin/python || $(PYTHON) -m venv --without-pip $(@D)
	$(UV) sync -q --python $(@D)/bin/python --require-hashes $<
	touch $@

gen/.stamp: $(PROTOS) $(wildcard deploy/envoy/*.py deploy/envoy/*.yaml) deploy/protos.py \
            $(wildcard deploy/openapi/*.py deploy/openapi/*.yaml deploy/openapi/page/*) \
            $(wildcard services/*/*/api.py) $(VENV)/.ok
	$(PY) -m deploy.protos
	touch $@
