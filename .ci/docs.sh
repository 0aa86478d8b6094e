#!/usr/bin/env bash
# The book: its links lead somewhere, and every test that it names exists.
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
echo "$(wc -w <<<"$names") named tests"
exit $fail
