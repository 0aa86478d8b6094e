#!/usr/bin/env bash
# Threads for real for a minute, held in the windows between two steps of the protocol, with overflow
# checks and debug assertions; then a little with panics there. Hours: `cargo soak --seconds 7200`.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS=true CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS=true
cargo soak --seconds "${1:-60}"
cargo soak --seconds 8 --panics
