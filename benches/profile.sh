#!/usr/bin/env bash
# Samples a case with perf and shows where the time goes: benches/profile.sh ["own"] [OPERATIONS]
# Names of cases: cargo run --release -p natshard-benches --bin instructions list
set -euo pipefail
cd "$(dirname "$0")/.."
case=${1:-own} operations=${2:-100000000}
cargo build --release -p natshard-benches --bin instructions
event=cycles
if ! perf stat -e cycles -- true 2>&1 | grep -qE '[0-9] +cycles'; then
  event=cpu-clock
  echo "this machine has no hardware counters: samples are taken by a timer of the kernel, which says" \
    "where time goes and not why (no cache misses, no mispredictions)" >&2
fi
# Stacks are unwound by what the compiler notes for debuggers: there are no frame pointers.
perf record -q -F 499 -e "$event" --call-graph dwarf,4096 -o target/perf.data -- \
  taskset -c 0 ./target/release/instructions count "$case" "$operations"
perf report -i target/perf.data --stdio --no-children -g none --percent-limit 0.5 2>/dev/null | grep -v '^$'
echo "instruction by instruction: perf annotate -i target/perf.data"
echo "as a picture: benches/flamegraph.sh"
