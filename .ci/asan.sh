#!/usr/bin/env bash
# The engine's tests under the address sanitizer, on the stable compiler, std as it comes. Tests that
# count the heap bring an allocator of their own and stay out; leaks are not looked for, because
# tests forget leases on purpose.
set -euo pipefail
cd "$(dirname "$0")/.."
export RUSTC_BOOTSTRAP=1 ASAN_OPTIONS=detect_leaks=0
export RUSTFLAGS="-Zsanitizer=address"
host=$(rustc -vV | sed -n 's/^host: //p')
tests=${*:---lib --test surface --test reconfigure --test regressions --test faults --test contiguous_threads}
# shellcheck disable=SC2086  # a list of arguments
cargo test --target "$host" --target-dir target/asan -p natshard $tests
