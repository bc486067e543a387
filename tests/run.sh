#!/usr/bin/env bash
# Runs the lanes of `make test`, prints each with its time, and sums up in the last line.
set -uo pipefail
cd "$(dirname "$0")/.."
log=target/test.log
mkdir -p target
: > "$log"
failures=target/failures.log
: > "$failures"
failed_lanes=0

lane() { # name, command...
  local name=$1 started=$SECONDS from
  from=$(wc -l < "$log")
  shift
  if "$@" 2>&1 | tee -a "$log"; then state=ok; else
    state=FAILED
    failed_lanes=$((failed_lanes + 1))
    { echo "FAILED lane $name:"; why "$from"; } >> "$failures"
  fi
  echo "lane $name: $state in $((SECONDS - started)) s"
}

# The lines of a failed lane that tell what failed: shown again just above the last line, which is
# all that many a CI shows.
why() { # first line of the lane in the log
  local lines
  lines=$(tail -n "+$(($1 + 1))" "$log" | grep -v '^test result:')
  grep -E 'panicked at|^test .*FAILED|^error|[Pp]roblem|[Ee]rror:' <<< "$lines" | head -n 4 | cut -c 1-200
  tail -n 3 <<< "$lines" | cut -c 1-200
}

# A run of a script is one test: its exit code says whether the check did what it should.
script() { # script and its arguments...
  local output
  output=$(mktemp)
  python3 "$@" 2>&1 | tee "$output"
  local state=${PIPESTATUS[0]} skipped
  skipped=$(grep -c skipped "$output")
  rm -f "$output"
  if [ "$state" = 0 ] && [ "$skipped" != 0 ]; then
    echo "test result: ok. 0 passed; 0 failed; 1 ignored"
  elif [ "$state" = 0 ]; then
    echo "test result: ok. 1 passed; 0 failed; 0 ignored"; else
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
lane "the fortnight, by hand and by node" script tests/fortnight.py
lane "random commands" script tests/random_commands.py --seed 7
lane "random programmes, worked out twice" script tests/properties.py --cases 3000
lane "quests, counted anew" script tests/quests.py --programmes 8
lane "reminders" script tests/reminders.py
lane "finance" script tests/finance.py --commands 300
lane "a simulation, and its replay" script tests/simulate.py
lane "the rich programme, bought and given back" script tests/give_back.py
lane "order of arrival" script tests/arrival.py
lane "zones of the process" script tests/zones.py --baskets 200
lane "receipts across members" script tests/receipts.py
lane "gifts between members" script tests/gifts.py --kills 4
lane "budgets of campaigns" script tests/campaigns.py --kills 3
lane "pools" script tests/pools.py --kills 3
lane "merges" script tests/merges.py --kills 3
lane "after a merge" script tests/merge_stories.py
lane "tills without a connection" script tests/offline.py
lane "the API from its document" script tests/api_fuzz.py --seed 1
lane "bad input" script tests/bad_input.py
lane "the programme under load" script tests/programme.py
lane "streams: 1,000 readers" script tests/streams.py follow --connections 1000
lane "streams: SIGTERM under load" script tests/streams.py stop --times 4
lane "kill -9" script tests/durability.py crash --runs 8
lane "power loss" script tests/durability.py powerloss --runs 20
lane "caught: no sync" script tests/durability.py powerloss --runs 20 --sabotage skip_sync
lane "caught: reply before append" script tests/durability.py powerloss --runs 20 --sabotage reply_before_append
lane "caught: no dedupe" script tests/durability.py crash --runs 20 --sabotage skip_dedupe
lane "full disk" script tests/disk.py full
lane "refused folders" script tests/disk.py refused
lane "flipped bits" script tests/disk.py bitflips --flips 60

cat "$failures"
awk -v lanes="$failed_lanes" '
  /^test result:/ { passed += $4; failed += $6; skipped += $8 }
  END {
    if (lanes > 0 && failed == 0) failed = lanes
    printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
    exit failed > 0 || passed == 0
  }' "$log"
