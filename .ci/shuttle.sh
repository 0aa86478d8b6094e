#!/usr/bin/env bash
# Scenarios of eight shards under shuttle's schedulers, for a bounded time each. A failure says how
# to repeat it.
set -euo pipefail
cd "$(dirname "$0")/.."
log=$(mktemp)
trap 'rm -f "$log"' EXIT
cargo shuttle -- --nocapture 2>&1 | tee "$log" | grep -E '^[a-z]+: |^test |error|panicked|NATSHARD' || true
grep -Eq 'test result: ok\. [1-9][0-9]* passed' "$log" || { echo "shuttle failed, or nothing ran"; exit 1; }
