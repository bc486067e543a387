# `make test` is the one to type first.
CARGO ?= cargo
export CARGO_TERM_COLOR ?= never

.PHONY: demo test lint bench rules properties crash powerloss bitflips year memory

RUNS ?= 100
COUNT ?= 100000
CASES ?= 100000

demo: ## a fresh node, a fortnight of real baskets, what happened, one member live; Ctrl-C ends it
	$(CARGO) build --release -p tessera-node
	@$${CARGO_TARGET_DIR:-target}/release/tessera demo

test: ## every test, then one line: N passed, N failed, N skipped
	@tests/run.sh

lint: ## clippy, warnings are errors
	$(CARGO) clippy --workspace --all-targets -- -D warnings

bench: ## durable purchases and reads as ratios to a ceiling measured in the same run; also target/bench.json
	$(CARGO) build --release -p tessera-node
	$${CARGO_TARGET_DIR:-target}/release/tessera bench

rules: ## purchases with 9,900 rules, of which 20 match, against those 20 alone; then with 1,000 in CEL; also target/rules.json
	$(CARGO) build --release -p tessera-node
	$${CARGO_TARGET_DIR:-target}/release/tessera bench --rules 9900 --out target/rules.json
	$${CARGO_TARGET_DIR:-target}/release/tessera bench --rules 1000 --expressions --out target/expressions.json

properties: ## CASES random command sequences, every invariant after each; CASES random baskets × returns, worked out a second time by tests/engine.py
	CASES=$(CASES) $(CARGO) test -p tessera-domain random_sequences -- --nocapture
	$(CARGO) build -p tessera-node
	python3 tests/properties.py --cases $(CASES)

crash: ## kill -9 at random moments, RUNS times: what was acknowledged is there once
	$(CARGO) build -p tessera-node
	python3 tests/durability.py crash --runs $(RUNS)

powerloss: ## RUNS power cuts of one recorded run: the folder opens, nothing acknowledged is missing
	$(CARGO) build -p tessera-node
	python3 tests/durability.py powerloss --runs $(RUNS)

bitflips: ## RUNS random single bits flipped over all files: reported, rebuilt or harmless
	$(CARGO) build -p tessera-node
	python3 tests/disk.py bitflips --flips $(RUNS)

year: ## FILE (a year of transactions, say) replayed, replayed again, audited, compared with tests/year_points.py
	$(CARGO) build --release -p tessera-node
	python3 tests/fortnight.py --binary $${CARGO_TARGET_DIR:-target}/release/tessera --file $(FILE)

memory: ## what waking and a long history cost; with FILE also the memory of COUNT members that carry it
	$(CARGO) build --release -p tessera-node
	python3 tests/memory.py wake
	python3 tests/memory.py history
	$(if $(FILE),python3 tests/memory.py members --count $(COUNT) --file $(FILE))
