# The few commands a person needs. `make` alone lists them.

SEEDS ?= 60

.PHONY: help setup servers build static image demo test torture bench

help: ## list these commands
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 20

setup: ## install the servers that are missing (Debian, Ubuntu), unpack the newest ones
	@.ci/setup.sh --with-newest

# What the demo needs, and no more.
servers:
	@.ci/setup.sh

build: ## build the program, target/release/auditor
	cargo build --release

# Beside the ordinary build, so that both stay.
static: ## build the static binary, target/ARCH-unknown-linux-musl/release/auditor
	@.ci/static.sh

image: ## build the container image auditor:VERSION
	docker build --file jobs/Dockerfile --tag auditor:$$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1) .

demo: servers build ## a real failover on this machine, from loss to report
	target/release/auditor demo

test: setup ## formatting, lints and every test, on every server that is there
	@.ci/test.sh

torture: servers ## many more seeds of the races (SEEDS=60: a quarter of an hour)
	AUDITOR_SEEDS=$(SEEDS) cargo test --release --test integration torture -- --nocapture

bench: servers ## a million rows and five million entries, beside the floor of the servers' own clients
	cargo bench --bench sweep
	cargo bench --bench streams
