# `make test` is the one to type first.
CARGO ?= cargo
export CARGO_TERM_COLOR ?= never

.PHONY: test lint bench crash powerloss

RUNS ?= 100

test: ## every test, then one line: N passed, N failed, N skipped
	@tests/run.sh

lint: ## clippy, warnings are errors
	$(CARGO) clippy --workspace --all-targets -- -D warnings

bench: ## durable purchases and reads as ratios to a ceiling measured in the same run; also target/bench.json
	$(CARGO) build --release -p tessera-node
	$${CARGO_TARGET_DIR:-target}/release/tessera bench

crash: ## kill -9 at random moments, RUNS times: what was acknowledged is there once
	$(CARGO) build -p tessera-node
	python3 tests/durability.py crash --runs $(RUNS)

powerloss: ## RUNS power cuts of one recorded run: the folder opens, nothing acknowledged is missing
	$(CARGO) build -p tessera-node
	python3 tests/durability.py powerloss --runs $(RUNS)
