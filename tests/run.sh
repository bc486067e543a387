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
  if "$@" > >(tee -a "$log") 2>&1; then state=ok; else state=FAILED; failed_lanes=$((failed_lanes + 1)); fi
  echo "lane $name: $state in $((SECONDS - started)) s"
}

lane "build and test" cargo test --workspace --no-fail-fast
sleep 0 # let tee finish its last line
awk -v lanes="$failed_lanes" '
  /^test result:/ { passed += $4; failed += $6; skipped += $8 }
  END {
    if (lanes > 0 && failed == 0) failed = lanes
    printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
    exit failed > 0 || passed == 0
  }' "$log"
