#!/usr/bin/env bash
# Fresh traffic: records a short capture from real programs, then replays it. Root.
set -euo pipefail
cd "$(dirname "$0")/.."
. .ci/lib.sh
if [ "$(id -u)" -ne 0 ]; then
  echo "skipped: needs root to make network namespaces"
  [ "${CI:-}" != true ]
  exit
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

crates/natshard-cli/sample/record.sh --quick "$work/fresh.pcapng"
natshard replay --shards 2 --format json --out "$work/out.pcapng" "$work/fresh.pcapng" >"$work/report.json"
jq -c '{packets, sessions, leases, verify}' "$work/report.json"
check_report "$work/report.json" 300
check_out "$work/out.pcapng"
