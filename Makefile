# What a run needs is built once and kept in CACHE, outside the checkout.
SHELL := /bin/bash
CACHE := $(or $(MAAS_CACHE),$(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME)/maas-operator,$(HOME)/.cache/maas-operator))
LOCK := $(shell python3 -c 'import hashlib,sys; print(hashlib.sha256(open("requirements-dev.txt","rb").read() + sys.version.encode()).hexdigest()[:16])')
VENV := $(CACHE)/venv-$(LOCK)
PYTHON := $(VENV)/bin/python
export PATH := $(VENV)/bin:$(PATH)
export PYTHONPATH := operator
# Tests that start nothing run side by side; a few processes do, since each has to import everything first.
UNIT := $(PYTHON) -m pytest -q --numprocesses=auto --maxprocesses=4 --dist=worksteal tests/unit

.DEFAULT_GOAL := help
.PHONY: help venv demo demo-down check test test-unit test-api test-gateway test-chart test-e2e binaries images bench generate lock

help: ## what there is to make
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

# Its name says what is in it: several checkouts share it, and one of them makes it.
$(VENV)/ready:
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; python3 is " + sys.version.split()[0])'
	@mkdir -p $(CACHE) && exec 9> $(CACHE)/venv.lock && flock 9 && if [ ! -e $@ ]; then \
		echo "python environment: installing what requirements-dev.txt pins (usually under a minute)" >&2 && \
		rm -rf $(VENV) && python3 -m venv $(VENV) && \
		$(VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-dev.txt && \
		touch $@; \
	fi

demo: $(VENV)/ready ## a real Kubernetes here, the operator on it, and a model that answers
	@$(PYTHON) -m tests.demo up

demo-down: $(VENV)/ready ## remove all that the demo started
	@$(PYTHON) -m tests.demo down

venv: $(VENV)/ready ## where the Python environment is: . $(make -s venv)/bin/activate
	@echo $(VENV)

check: $(VENV)/ready ## lint, types, rooms, pure tests: under a minute
	ruff check .
	ruff format --check .
	mypy
	lint-imports
	$(UNIT)

# The suites before e2e mostly wait: they take two thirds of the time beside each other. e2e has the machine to itself.
test: check ## everything, on real clusters
	@$(MAKE) --no-print-directory --jobs=2 binaries images
	@echo "test-api beside test-gateway and test-chart: what each prints comes when it has ended (some 20 min)"
	$(MAKE) --jobs=2 --keep-going --output-sync=target test-api test-gateway test-chart
	$(MAKE) test-e2e

# Before any suite: a build beside them would take the time that they measure.
binaries: $(VENV)/ready ## what clusters consist of, built where the cache lacks it
	@$(PYTHON) -m tests.cluster build

images: $(VENV)/ready ## the images of the tests, built where the cache lacks them
	@$(PYTHON) -m tests.images build operator engine-cpu model-tiny

test-unit: $(VENV)/ready ## the pure tests
	$(UNIT)

test-api: $(VENV)/ready ## the rules and the operator on a real kube-apiserver
	$(PYTHON) -m pytest -q tests/api tests/pools

test-gateway: $(VENV)/ready ## the gateway on a real Envoy, the ledger on real databases, fetching from real servers
	$(PYTHON) -m pytest -q tests/gateway tests/ledger tests/fetch

test-chart: $(VENV)/ready ## the chart with real helm
	$(PYTHON) -m pytest -q tests/chart

test-e2e: $(VENV)/ready ## real pods, real vLLM
	$(PYTHON) -m pytest -q tests/e2e

bench: $(VENV)/ready ## the benchmarks, JSON out
	$(PYTHON) -m benchmarks.converge
	$(PYTHON) -m benchmarks.capacity
	$(PYTHON) -m benchmarks.gateway
	$(PYTHON) -m benchmarks.routes
	$(PYTHON) -m benchmarks.affinity
	$(PYTHON) -m benchmarks.revoke
	$(PYTHON) -m benchmarks.rollout
	$(PYTHON) -m benchmarks.wake
	$(PYTHON) -m benchmarks.asleep
	$(PYTHON) -m benchmarks.autoscale
	$(PYTHON) -m benchmarks.fit

generate: $(VENV)/ready ## what is made from the models: crds/, the chart's copies, the reference
	$(PYTHON) -m maas_operator.api.crd crds
	$(PYTHON) -m maas_operator.api.crd charts/maas-operator/files/crds
	$(PYTHON) -m maas_operator.api.reference > docs/reference.md

lock: ## resolve the pins anew (needs uv)
	uv pip compile -q --generate-hashes --universal --python-version 3.11 --no-header --extra fetch --extra gateway --extra postgresql pyproject.toml -o requirements.txt
	uv pip compile -q --generate-hashes --universal --python-version 3.11 --no-header --extra dev pyproject.toml -o requirements-dev.txt
	uv pip compile -q --generate-hashes --universal --python-version 3.11 --no-header benchmarks/requirements-peers.in -o benchmarks/requirements-peers.txt
