#!/usr/bin/env bash
# Draws what profile.sh sampled, or samples first: benches/flamegraph.sh ["own"] -> target/flame.svg
set -euo pipefail
cd "$(dirname "$0")/.."
if [ $# -gt 0 ] || [ ! -e target/perf.data ]; then benches/profile.sh "$@" >/dev/null; fi
cargo build -q --release -p natshard-benches --bin flame
perf script -i target/perf.data 2>/dev/null | ./target/release/flame >target/flame.svg
echo "target/flame.svg"
