# The two that a newcomer types are `make demo` and `make test`.
CARGO ?= cargo
export CARGO_TERM_COLOR ?= never

.PHONY: test lint

test: ## every test, then one line: N passed, N failed, N skipped
	@tests/run.sh

lint: ## clippy, warnings are errors
	$(CARGO) clippy --workspace --all-targets -- -D warnings
