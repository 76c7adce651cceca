# Commands for developers and CI. `make` without a target lists them.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Every target uses the same set of packages, so that cargo builds each dependency once: another set may need other
# features.
WORKSPACE := --workspace --locked
E2E := $(WORKSPACE) --features restante-tests/e2e

.PHONY: help
help: ## Lists these targets.
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /\1\t/' | awk -F '\t' '{ printf "%-14s %s\n", $$1, $$2 }'

.PHONY: run
run: ## Builds the broker, optimised, and runs it on examples/, with its data in ./restante-data.
	cargo run --locked --profile local --package restante-broker --bin restante-broker -- --manifests examples

.PHONY: test
# Cheap tests first, in sequence even with -j. Kubernetes is built after all tests that do not need it have passed.
test: ## Runs everything that CI runs, as root also on a real Kubernetes; installs missing programs.
	tests/install.sh
	$(MAKE) lint
	$(MAKE) test-unit
	$(MAKE) test-e2e

.PHONY: test-unit
test-unit: ## Runs all tests that need neither Kubernetes nor a firewall.
	cargo test $(WORKSPACE)
	RESTANTE_CORES=2 cargo test $(WORKSPACE) --test contract

.PHONY: test-e2e
test-e2e: tools images ## Runs the end-to-end tests. Without root, tests that need it are skipped and reported.
	cargo test $(E2E) --test e2e

.PHONY: tools
tools: # Builds Kubernetes for the tests. Only root can run it.
	if [ "$$(id -u)" = 0 ]; then tests/control-plane/build.sh >/dev/null; fi

.PHONY: fuzz
fuzz: ## Fuzzes every entry of broker/src/fuzz.rs for SECONDS_PER_TARGET=600 each, guided by coverage; TARGETS=segment,request selects.
	fuzz/run.sh "$${SECONDS_PER_TARGET:-600}" "$${TARGETS:-all}"

.PHONY: bench
bench: ## Measures the broker against its limits and other brokers, on two cores; ROWS=push,peers selects, ROUNDS=5 repeats.
	cargo build --locked --release --package restante-broker --package restante-bench
	PATH="$$(bench/install.sh):$$PATH" "$${CARGO_TARGET_DIR:-target}/release/restante-bench"

.PHONY: bench-picture
bench-picture: ## Draws docs/benchmarks.svg, which the README shows, from the last run of all rows.
	cargo run --locked --release --package restante-bench -- picture

.PHONY: fmt
fmt: ## Formats the code.
	cargo fmt --all

.PHONY: lint
lint: ## Checks formatting, generated files, dependencies, the language and arrows, and runs clippy.
	cargo fmt --all --check
	cargo crdgen check
	tests/dependencies.sh
	tests/language.py
	tests/arrows.py
	cargo clippy $(E2E) --all-targets -- --deny warnings
	if cargo deny --version >/dev/null 2>&1; then $(MAKE) deny; else echo 'cargo-deny is not installed: see make deny'; fi

.PHONY: deny
deny: ## Checks licences, sources and bans of all dependencies; needs `cargo install cargo-deny --locked`.
	cargo deny --locked check bans licenses sources

.PHONY: advisories
advisories: ## Checks dependencies for known vulnerabilities; fetches the current list.
	cargo deny --locked check advisories

.PHONY: crds
crds: ## Writes the custom resource definitions into crds/ and the chart.
	cargo crdgen write

.PHONY: openapi
openapi: ## Writes docs/openapi.json, which the broker serves as /openapi.json.
	WRITE_OPENAPI=1 cargo test $(WORKSPACE) --lib -- --exact openapi::tests::the_committed_document_is_the_one_that_the_code_makes

.PHONY: images
images: ## Builds the container images, and the static programs in them, from this working tree.
	cargo run --locked --package restante-tests --bin images

.PHONY: cluster
cluster: ## Runs a Kubernetes cluster with the images until Ctrl-C. Needs root.
	cargo run --locked --package restante-tests --bin control-plane -- --images
