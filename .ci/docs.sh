#!/usr/bin/env bash
# The book: its links lead somewhere, every test that it names exists, and what it says that `trace`
# answers is what it answers.
set -euo pipefail
cd "$(dirname "$0")/.."
fail=0
while IFS=: read -r page link; do
  target=${link%%#*}
  [ -z "$target" ] || [ -e "$(dirname "$page")/$target" ] || { echo "$page: no $target"; fail=1; }
done < <(grep -oHP '\]\(\K(?!https?:)[^)]+' README.md CHANGELOG.md docs/src/*.md crates/natshard-cli/sample/README.md)
for page in docs/src/*.md; do
  [ "$page" = docs/src/SUMMARY.md ] || grep -q "(\(\./\)\?$(basename "$page"))" docs/src/SUMMARY.md ||
    { echo "$page is not in SUMMARY.md"; fail=1; }
done
# Tests are named in the tables as `file::test_name` or `test_name`, prefixed with "test: ".
names=$(grep -ohP 'test: \K`[^`]+`(, `[^`]+`)*' docs/src/*.md | grep -oP '[\w:]{4,}' | grep -v '^test:' | sort -u || true)
for name in $names; do
  grep -rqE "(fn ${name##*::}\b)" crates loom-tests --include='*.rs' || { echo "no test $name"; fail=1; }
done
# Each planted bug stands in the table, with the twins that find it: tests that plant it.
table=docs/src/verification.md
for bug in $(grep -oP '^    \K[A-Z]\w+(?=,$)' crates/natshard/src/planted.rs); do
  twins=$(sed -n "s/^| \`$bug\` | .* | test: //p" $table | grep -oP '`\K\w+' || true)
  [ -n "$twins" ] || { echo "$table: no twin for $bug"; fail=1; }
  for twin in $twins; do
    grep -rhA6 "fn $twin()" loom-tests/tests | sed '/^}/q' | grep -qw "Bug::$bug" ||
      { echo "$table: $twin plants no $bug"; fail=1; }
  done
done
# The commands of the README and of the page on `trace`, in their order: each succeeds, and the page shows
# nothing that they do not say.
cargo build --quiet --bin natshard
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
natshard=${CARGO_TARGET_DIR:-target}/debug/natshard
commands=$(grep -hP '^(cargo run --release --|natshard) (trace|replay .*--events) ' README.md docs/src/trace.md |
  sed -E "s#^(cargo run --release --|natshard) #$natshard #; s#nat\.jsonl#$work/nat.jsonl#")
[ "$(grep -c ' trace ' <<<"$commands")" -ge 3 ] || { echo "the commands of README.md and trace.md were not found"; fail=1; }
while read -r command; do
  bash -c "$command" >>"$work/said" || { echo "fails: $command"; fail=1; }
done <<<"$commands"
sed -i 's/ *$//' "$work/said" "$work/nat.jsonl"
unsaid=$(sed -nE '/^```(text|json)$/,/^```$/{/^```/d; s/ +$//; p}' docs/src/trace.md |
  grep -vxF -f "$work/said" -f "$work/nat.jsonl" || true)
[ -z "$unsaid" ] || { echo "docs/src/trace.md shows what nothing says:"; echo "$unsaid"; fail=1; }
echo "$(wc -w <<<"$names") named tests, $(wc -l <<<"$commands") commands"
exit $fail
