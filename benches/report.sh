#!/usr/bin/env bash
# Measures everything on this machine, in less than two minutes once it is built, and writes the
# tables of docs/src/performance.md and README.md and the pictures in docs/src/img anew. With a file
# that `natshard bench --format json` wrote, writes what stands there instead of measuring.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --release -p natshard-cli -p natshard-benches
results=${1:-target/bench.json}
[ $# -gt 0 ] || ./target/release/natshard bench --format json >"$results"
./target/release/report "$results"
