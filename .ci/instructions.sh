#!/usr/bin/env bash
# Counts the instructions of an operation of each case under callgrind, and fails where one has grown
# by more than 3 % over benches/instructions.toml. `.ci/instructions.sh record` writes that file.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --release -p natshard-benches --bin instructions
./target/release/instructions "${1:-check}"
