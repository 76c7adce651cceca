# What people and CI run. `make` alone lists it.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# One set of packages for all, so that cargo builds each dependency once: with another set it may need other features.
WORKSPACE := --workspace --locked
E2E := $(WORKSPACE) --features restante-tests/e2e

.PHONY: help
help: ## Lists these targets.
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /\1\t/' | awk -F '\t' '{ printf "%-14s %s\n", $$1, $$2 }'

.PHONY: run
run: ## Builds the broker, optimised, and runs it on examples/, data in ./restante-data.
	cargo run --locked --profile local --package restante-broker --bin restante-broker -- --manifests examples

.PHONY: test
# Cheap failures first, one after the other even with -j. Kubernetes is built when all that needs none has passed.
test: ## Everything that CI runs; installs what is missing. With root: on a real Kubernetes too.
	tests/install.sh
	$(MAKE) lint
	$(MAKE) test-unit
	$(MAKE) test-e2e

.PHONY: test-unit
test-unit: ## All tests but those that take a Kubernetes or a firewall.
	cargo test $(WORKSPACE)
	RESTANTE_CORES=2 cargo test $(WORKSPACE) --test contract

.PHONY: test-e2e
test-e2e: tools images ## The end-to-end tests. Without root those that need it are skipped, and say so.
	cargo test $(E2E) --test e2e

.PHONY: tools
tools: # Kubernetes for the tests: only root can run it.
	if [ "$$(id -u)" = 0 ]; then tests/control-plane/build.sh >/dev/null; fi

.PHONY: fuzz
fuzz: ## Fuzzes every entry of broker/src/fuzz.rs for SECONDS_PER_TARGET=600 each, guided by coverage. TARGETS=segment,request says which.
	fuzz/run.sh "$${SECONDS_PER_TARGET:-600}" "$${TARGETS:-all}"

.PHONY: bench
bench: ## The broker against its limits and other brokers, on two cores. ROWS=push,peers and ROUNDS=5 say what and how often.
	cargo build --locked --release --package restante-broker --package restante-bench
	PATH="$$(bench/install.sh):$$PATH" "$${CARGO_TARGET_DIR:-target}/release/restante-bench"

.PHONY: bench-picture
bench-picture: ## docs/benchmarks.svg, which the README shows, from the last run of all rows.
	cargo run --locked --release --package restante-bench -- picture

.PHONY: fmt
fmt: ## Formats everything.
	cargo fmt --all

.PHONY: lint
lint: ## Formatting, generated files, clippy, dependencies.
	cargo fmt --all --check
	cargo crdgen check
	tests/dependencies.sh
	cargo clippy $(E2E) --all-targets -- --deny warnings
	if cargo deny --version >/dev/null 2>&1; then $(MAKE) deny; else echo 'cargo-deny is not installed: see make deny'; fi

.PHONY: deny
deny: ## Licences, sources and bans of all dependencies; needs `cargo install cargo-deny --locked`.
	cargo deny --locked check bans licenses sources

.PHONY: advisories
advisories: ## Known vulnerabilities of dependencies; fetches the list of the day.
	cargo deny --locked check advisories

.PHONY: crds
crds: ## Writes the custom resource definitions, into crds/ and the chart.
	cargo crdgen write

.PHONY: openapi
openapi: ## Writes docs/openapi.json, which the broker serves as /openapi.json.
	WRITE_OPENAPI=1 cargo test $(WORKSPACE) --lib -- --exact openapi::tests::the_committed_document_is_the_one_that_the_code_makes

.PHONY: images
images: ## The container images, and the static programs in them, from this working tree.
	cargo run --locked --package restante-tests --bin images

.PHONY: cluster
cluster: ## A Kubernetes with the images in it, until Ctrl-C. Needs root.
	cargo run --locked --package restante-tests --bin control-plane -- --images
