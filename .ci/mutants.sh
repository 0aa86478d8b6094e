#!/usr/bin/env bash
# Mutation testing of the engine's core (`.cargo/mutants.toml`): each small change of the code must
# make a quick test fail. No stage of `.ci/run`: all of them take most of a day on one core.
#
#   .ci/mutants.sh                               all of the core
#   .ci/mutants.sh --shard 0/12                  one in twelve
#   .ci/mutants.sh --shard 0/4 -F sweep.rs     one in four of a file
#
# Survivors are listed at the end, and in target/mutants/mutants.out/missed.txt.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v cargo-mutants >/dev/null || cargo install --quiet --locked cargo-mutants
mkdir -p target/mutants
# Fewer random histories for each mutant than for the engine itself.
export PROPTEST_CASES=${PROPTEST_CASES:-32}
status=0
cargo mutants --package natshard --test-package natshard --output target/mutants --sharding round-robin --no-times --colors never "$@" || status=$?
cd target/mutants/mutants.out
for kind in caught missed timeout unviable; do
  printf '%-9s %5d\n' "$kind" "$(wc -l <"$kind.txt")"
done
# 2: some were missed; 3: some timed out, which is a way of being caught.
[ "$status" -eq 0 ] || [ "$status" -eq 3 ] || exit "$status"
