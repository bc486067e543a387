#!/usr/bin/env bash
# Runs the lanes of `make test`, prints each with its time, and sums up in the last line.
set -uo pipefail
cd "$(dirname "$0")/.."
log=target/test.log
mkdir -p target
: > "$log"
failed_lanes=0

lane() { # name, command...
  local name=$1 started=$SECONDS
  shift
  if "$@" 2>&1 | tee -a "$log"; then state=ok; else state=FAILED; failed_lanes=$((failed_lanes + 1)); fi
  echo "lane $name: $state in $((SECONDS - started)) s"
}

# A durability run is one test: its exit code says whether the check did what it should.
durability() { # arguments of durability.py...
  if python3 tests/durability.py "$@"; then echo "test result: ok. 1 passed; 0 failed; 0 ignored"; else
    echo "test result: FAILED. 0 passed; 1 failed; 0 ignored"
    return 1
  fi
}

missing=
for tool in cargo cc python3; do command -v "$tool" > /dev/null || missing="$missing $tool"; done
if [ -n "$missing" ]; then
  echo "missing:$missing (Rust 1.95 by rustup, a C compiler, Python 3.11 or newer)"
  exit 1
fi

lane "unit and contract tests" cargo test --workspace --no-fail-fast
lane "the binary" cargo build -p tessera-node
export TESSERA_BINARY="${CARGO_TARGET_DIR:-target}/debug/tessera"
lane "kill -9" durability crash --runs 8
lane "power loss" durability powerloss --runs 20
lane "caught: no sync" durability powerloss --runs 20 --sabotage skip_sync
lane "caught: reply before append" durability powerloss --runs 20 --sabotage reply_before_append
lane "caught: no dedupe" durability crash --runs 20 --sabotage skip_dedupe

awk -v lanes="$failed_lanes" '
  /^test result:/ { passed += $4; failed += $6; skipped += $8 }
  END {
    if (lanes > 0 && failed == 0) failed = lanes
    printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
    exit failed > 0 || passed == 0
  }' "$log"
