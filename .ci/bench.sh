#!/usr/bin/env bash
# Runs every bench once, to see that it still runs; measures nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
benches=$(cargo metadata --no-deps --format-version 1 |
  jq -r '.packages[] | select(.name == "natshard-benches") | .targets[] | select(.kind[] == "bench") | .name')
[ -n "$benches" ] || { echo "there are no benches yet"; exit 0; }
for bench in $benches; do
  cargo bench -p natshard-benches --bench "$bench" -- --test
done
