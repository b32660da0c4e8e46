# The few commands a person needs. `make` alone lists them.

SEEDS ?= 60

.PHONY: help setup build demo test torture bench

help: ## list these commands
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 20

setup: ## install the servers that are missing (Debian, Ubuntu)
	@.ci/setup.sh

build: ## build the program, target/release/auditor
	cargo build --release

demo: setup build ## a real failover on this machine, from loss to report
	target/release/auditor demo

test: ## formatting, lints and every test, on MariaDB and on a current MySQL
	@.ci/setup.sh --with-mysql
	@.ci/test.sh

torture: setup ## many more seeds of the races (SEEDS=60: a quarter of an hour)
	AUDITOR_SEEDS=$(SEEDS) cargo test --release --test integration torture -- --nocapture

bench: setup ## a million rows, beside the floor of the servers' own clients
	cargo bench --bench sweep
