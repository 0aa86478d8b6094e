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
# Each planted bug has a model that must find it.
for bug in $(grep -oP '^    \K[A-Z]\w+(?=,$)' crates/natshard/src/planted.rs); do
  grep -rqw "Bug::$bug" loom-tests/tests || { echo "no model looks for $bug"; fail=1; }
done
echo "$(wc -w <<<"$names") named tests"
exit $fail
