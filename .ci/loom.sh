#!/usr/bin/env bash
# The loom models, exhaustively, within their bounds; and the one on the real epoch. Each must have a
# twin with a planted bug that was found.
set -euo pipefail
cd "$(dirname "$0")/.."
log=$(mktemp)
trap 'rm -f "$log"' EXIT
cargo loom -- --nocapture 2>&1 | tee "$log"
grep -Eq 'test result: ok\. [1-9][0-9]* passed' "$log" || { echo "no loom model ran"; exit 1; }
cargo loom-epoch -- --nocapture 2>&1 | tee -a "$log"
grep -q 'proved | stale token, real epoch' "$log" || { echo "no model of the real epoch ran"; exit 1; }
# A line of libtest may stand before ours; the tests of the harness have models of their own.
awk -F ' [|] ' '
  / proved \||^proved \|/ && !/harness, / { proved[$2] }
  / found \||^found \|/ { found[$2] }
  END {
    for (model in proved) {
      models++
      if (!(model in found)) { print "no twin of the model: " model; fail = 1 }
    }
    print models + 0 " models, each with a twin that is found"
    exit fail || !models
  }' "$log"
