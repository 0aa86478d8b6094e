#!/usr/bin/env bash
# The loom models, exhaustively, within their bounds; and the one on the real epoch.
set -euo pipefail
cd "$(dirname "$0")/.."
log=$(mktemp)
trap 'rm -f "$log"' EXIT
cargo loom -- --nocapture 2>&1 | tee "$log"
grep -Eq 'test result: ok\. [1-9][0-9]* passed' "$log" || { echo "no loom model ran"; exit 1; }
cargo loom-epoch -- --nocapture 2>&1 | tee "$log"
grep -q 'proved | stale token, real epoch' "$log" || { echo "no model of the real epoch ran"; exit 1; }
