#!/usr/bin/env bash
# Every test of the workspace but the loom models. With CI=true no test may skip for want of root.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo test --workspace
