# hallpass: what a developer runs. `make` alone lists it.

SHELL := /bin/bash
export PATH := $(PATH):$(HOME)/.cargo/bin

# Arguments for what a target runs: `make demo ARGS=--once`, `make test ARGS=handshake`.
ARGS ?=
# Flags for every cargo that builds; the CI says --locked.
CARGO_FLAGS ?=
# Where `make image` builds from and what it calls the result.
DOCKER ?= docker
IMAGE ?= hallpass

.DEFAULT_GOAL := help
.PHONY: help demo test lint fmt bench image deny

help: ## List what there is to make
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# The development profile on purpose: it builds fastest, and `make test` uses the same build.
demo: ## Show the whole story on this machine: PostgreSQL, hallpass, a session from request to expiry
	@scripts/install-deps demo
	cargo build $(CARGO_FLAGS) --bin hallpass
	@cargo run --quiet $(CARGO_FLAGS) --bin hallpass -- demo $(ARGS)

test: ## Run every test, real PostgreSQL and real clients included
	@scripts/install-deps test
	tests/it/clients/setup
	scripts/run-tests $(CARGO_FLAGS) $(ARGS)

fmt: ## Check the layout of the code
	cargo fmt --check

lint: fmt ## Check layout, lints, documentation, scripts and the metrics that dashboards use
	@scripts/install-deps lint
	scripts/check-metrics
	shellcheck $$(scripts/list-shell-scripts)
	cargo clippy $(CARGO_FLAGS) --all-targets -- -D warnings
	RUSTDOCFLAGS=-Dwarnings cargo doc $(CARGO_FLAGS) --no-deps

bench: ## Measure hallpass beside PgBouncer, HAProxy and a direct connection, in one run
	@scripts/install-deps bench
	cargo build $(CARGO_FLAGS) --release --bin hallpass
	benches/compare $(ARGS)

image: ## Build the container image
	$(DOCKER) build --tag $(IMAGE) .

deny: ## Check licences, sources and advisories of the dependencies (needs cargo-deny)
	cargo deny check
