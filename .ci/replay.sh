#!/usr/bin/env bash
# The sample capture: the two commands of the README, the report's sums, the output as tshark sees it.
set -euo pipefail
cd "$(dirname "$0")/.."
. .ci/lib.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cargo run --release -- replay
natshard replay --format json --out "$work/out.pcapng" --report "$work/report.html" >"$work/report.json"
jq -c '{packets, sessions, leases, verify}' "$work/report.json"
check_report "$work/report.json" 1000
check_out "$work/out.pcapng"
[ -s "$work/report.html" ]

echo "the configuration of the book"
example=crates/natshard-cli/examples-config/carrier-grade.toml
natshard check $example
natshard replay --config $example --format json >"$work/configured.json"
check_report "$work/configured.json" 200

echo "two shards, each host as ten"
natshard replay --shards 2 --amplify 10 --format json >"$work/amplified.json"
check_report "$work/amplified.json" 10000
