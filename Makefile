# CI and people use the same targets; `make` without a target lists them.
.DEFAULT_GOAL := help
.PHONY: up cluster down status logs restart reset totp demo test shortest-sweep faults test-long check bench sweep failover growth bugs upgrade soak drill capacity containers lock sbom pictures help

SETUP := deploy/local/setup.sh
STACK := .venv/bin/python -m deploy.local
SHORTEST_SWEEP := --mix all --minutes 1 --rate 8
# a cluster, and the tests of its sandbox, need root and namespaces; without them they are skipped
CLUSTER := $(shell unshare --mount --net --pid --fork true 2>/dev/null && echo --cluster)
NAMED  = --name $(or $(n),dev)
LOCK  := .venv/bin/uv pip compile pyproject.toml --no-emit-index-url --generate-hashes --universal --python-version 3.11

up: ## Set up this machine, start the whole stack, load demo data, print addresses and passwords
	@$(SETUP)
	@$(STACK) up

cluster: ## The same with three of each server and two or three of each process; then make down n=cluster (as root on Linux)
	@$(SETUP) --cluster
	@$(STACK) up --name cluster

down: ## Stop the stack; its data stay
	@$(STACK) down $(NAMED)

status: ## Show every program, its ports and whether it is ready
	@$(STACK) status $(NAMED)

logs: ## Follow the logs of one service or server: make logs s=records
	@$(STACK) logs $(s) $(NAMED)

restart: ## Restart the processes of one service, or of all services: make restart s=records
	@$(STACK) restart $(s) $(NAMED)

reset: ## Stop the stack and delete its data
	@$(STACK) reset $(NAMED)

totp: ## Print the current TOTP code of a demo member of staff: make totp s=clerk
	@$(STACK) totp $(s) $(NAMED)

demo: ## Play the main journey through the public API and a Kafka subscriber
	@$(STACK) demo $(NAMED)

test: ## Run the tests on their own copy of the stack, then the shortest sweep; some of them: make test a='-k history'
	@$(SETUP) $(CLUSTER)
	@$(STACK) run-with-stack --name test -- .venv/bin/python -m pytest $(or $(a),-m 'not faults')
ifeq ($(a),)
	@$(MAKE) --no-print-directory shortest-sweep
endif

shortest-sweep:
ifdef CLUSTER
	@$(MAKE) --no-print-directory sweep a='$(SHORTEST_SWEEP)'
else
	@echo "no sweep of faults: a cluster needs root, and namespaces of Linux"
endif

faults: ## Run the tests that kill and stop servers, some 15 minutes
	@$(SETUP) $(CLUSTER)
	@$(STACK) run-with-stack --name test -- .venv/bin/python -m pytest -m faults $(a)

test-long: ## Run all tests with full numbers, those of faults too, which takes much longer
	@$(SETUP) $(CLUSTER)
	@LONG=1 $(STACK) run-with-stack --name test -- .venv/bin/python -m pytest $(a)

check: ## Format, lint, types, import rules, contracts, known vulnerabilities
	@$(SETUP) --venv
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy --strict kit contracts services deploy bench tests examples
	.venv/bin/lint-imports
	.venv/bin/python -m contracts check
	.venv/bin/python -m deploy.audit

bench: ## Measure performance, with a ceiling for each row, on its own copy of the stack
	@$(SETUP)
	@$(STACK) run-with-stack --name bench -- .venv/bin/python -m bench $(a)

sweep: ## Faults under load in a cluster, then the check: make sweep a='--seed N --minutes M' (as root on Linux)
	@$(SETUP) --cluster
	@$(STACK) run-with-stack --name sweep -- .venv/bin/python -m tests.sweep $(a)

failover: ## Measure how soon a cluster works again after each kind of failure (as root on Linux)
	@$(SETUP) --cluster
	@$(STACK) run-with-stack --name sweep -- .venv/bin/python -m tests.sweep.failover $(a)

growth: ## A consumer group of a cluster with one, two and three members, and one hot person (as root on Linux)
	@$(SETUP) --cluster
	@$(STACK) run-with-stack --name sweep -- .venv/bin/python -m tests.sweep.growth $(a)

bugs: ## Prove the check: seeded bugs that only a cluster shows must be found (as root on Linux)
	@$(SETUP) --cluster
	@$(STACK) run-with-stack --name sweep -- .venv/bin/python -m tests.sweep.bugs

upgrade: ## Upgrade a cluster from another revision, and back, under load: make upgrade a='--before REVISION' (as root on Linux)
	@$(SETUP) --cluster
	@$(STACK) run-with-stack --name sweep -- .venv/bin/python -m tests.sweep.upgrade $(a)

soak: ## Run under load for a long time and watch memory and lag
	@$(SETUP)
	@$(STACK) run-with-stack --name bench -- .venv/bin/python -m bench soak $(a)

drill: ## Back up under load, lose the databases, restore: make drill a='--records 1000000'
	@$(SETUP)
	@$(STACK) run-with-stack --name bench -- .venv/bin/python -m bench drill $(a)

capacity: ## Cores, processes and disks for 100, 1,000 and 10,000 writes/s, from the bench: make capacity a='--hours 12'
	@$(SETUP) --venv
	@.venv/bin/python -m bench capacity $(a)

containers: ## Run docker-compose.yml without Docker: build, demo, kill, update under load (as root on Debian)
	@$(SETUP) --containers
	.venv/bin/python -m deploy.containers $(a)

lock: ## Resolve the hashed locks again from pyproject.toml
	@$(SETUP) --venv
	$(LOCK) --extra local --extra dev -o requirements/dev.txt
	$(LOCK) -o requirements/run.txt

sbom: ## Write the bill of materials of the image's Python packages (CycloneDX) to .local/sbom.cdx.json
	@$(SETUP) --venv
	.venv/bin/python -m deploy.sbom >.local/sbom.cdx.json

pictures: ## Render docs/pictures/*.typ after a change
	@$(SETUP)
	.venv/bin/python -m deploy.pictures

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
