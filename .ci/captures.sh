#!/usr/bin/env bash
# The captures beside the checkout, where there are any: each alone, then all in one run.
set -euo pipefail
cd "$(dirname "$0")/.."
. .ci/lib.sh
captures=${NATSHARD_CAPTURES:-../shared/captures}
[ -d "$captures" ] || { echo "no $captures here: nothing to replay"; exit 0; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

files=("$captures"/*.pcap*)
for file in "${files[@]}"; do
  natshard replay --format json "$file" >"$work/one.json" || { echo "$file: exit $?"; exit 1; }
  check_report "$work/one.json" || { echo "in $file"; exit 1; }
done
echo "${#files[@]} files, each alone: no fault"

natshard replay --format json --out "$work/out.pcapng" "${files[@]}" >"$work/all.json"
jq -c '{packets, sessions, leases, verify}' "$work/all.json"
check_report "$work/all.json" 16000
check_out "$work/out.pcapng"
