#!/usr/bin/env bash
# Writes the tables of README.md anew, from a run of every model.
#
#   loom-tests/table.sh            runs `cargo loom` and `cargo loom-epoch`
#   loom-tests/table.sh FILE       takes what they said before, with --nocapture
set -euo pipefail
cd "$(dirname "$0")/.."
log=${1:-}
if [ -z "$log" ]; then
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  { cargo loom -- --nocapture && cargo loom-epoch -- --nocapture; } 2>&1 | tee "$log"
fi
table=$(mktemp)
awk -F ' [|] ' '
  # A line of libtest may stand before ours.
  /proved \| / && !/harness, / {
    claim = $3; gsub(/_/, " ", claim)
    order[++models] = $2
    row[$2] = "| " $2 " | " $4 " | " claim " | " $6 " | " $5 " | " $7 " | " $8 " |"
    executions += $7; seconds += $8
  }
  /found \| / && !/harness, / {
    twins[$2] = twins[$2] (twins[$2] == "" ? "" : "<br>") "`" $4 "`: " $5
    bugs++
  }
  END {
    print "| model | actors | invariant | states reached | preemptions | executions | seconds | planted bug: found in execution |"
    print "|---|---|---|---|---|---|---|---|"
    for (i = 1; i <= models; i++) {
      twin = twins[order[i]]
      print row[order[i]] " " (twin == "" ? "none" : twin) " |"
    }
    printf "\n%d models, %d executions, %d s of exploring; %d twins, each of which fails.\n", models, executions, seconds, bugs
  }' "$log" >"$table"
[ "$(wc -l <"$table")" -gt 5 ] || { echo "no model in $log"; exit 1; }
readme=loom-tests/README.md
{
  sed '/<!-- table -->/q' "$readme"
  cat "$table"
  sed -n '/<!-- end -->/,$p' "$readme"
} >"$readme.new"
mv "$readme.new" "$readme"
rm -f "$table"
