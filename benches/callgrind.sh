#!/usr/bin/env bash
# Where the instructions of a case go, line by line: benches/callgrind.sh ["own"]
# Names of cases: cargo run --release -p natshard-benches --bin instructions list
set -euo pipefail
cd "$(dirname "$0")/.."
case=${1:-own}
cargo build --release -p natshard-benches --bin instructions
out=target/callgrind.out
valgrind --tool=callgrind --callgrind-out-file="$out" --dump-instr=yes --collect-jumps=yes \
  --toggle-collect='*counted_part*' -- \
  ./target/release/instructions count "$case" 200000
callgrind_annotate --auto=yes --threshold=95 "$out" | head -n 120
echo "all of it: callgrind_annotate $out, or kcachegrind $out"
