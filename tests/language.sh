#!/usr/bin/env bash
# Fails on riddles, and shows them: forms of tests/language/riddles.tsv in comments, strings and documents. With `count` it
# counts them, by folder.
set -euo pipefail
cd "$(dirname "$0")/.."

riddles=tests/language/riddles.tsv
patterns=$(mktemp)
trap 'rm -f "$patterns"' EXIT
grep -v '^#' "$riddles" | cut -f1 >"$patterns"

# The protocol of beanstalkd has a verb of the list.
files() {
  git ls-files -- '*.rs' '*.md' '*.sh' '*.yaml' '*.tpl' '*.txt' '*.toml' Makefile Containerfile \
    ':!tests/language*' ':!bench/src/peers/beanstalkd.rs'
}

# file:line:text, of Rust files the comments and strings alone.
prose() {
  files | xargs awk '
    FILENAME !~ /\.rs$/ { print FILENAME ":" FNR ":" $0; next }
    /^[[:space:]]*\/\// { print FILENAME ":" FNR ":" $0; next }
    {
      text = ""; rest = $0
      # A string that goes on from the line before has no quote at its head.
      if (goes_on) { end = index(rest, "\""); text = end ? substr(rest, 1, end) : rest; rest = end ? substr(rest, end + 1) : "" }
      while (match(rest, /"([^"\\]|\\.)*("|\\?$)/)) { text = text " " substr(rest, RSTART, RLENGTH); rest = substr(rest, RSTART + RLENGTH) }
      if (match(rest, /\/\/.*$/)) text = text " " substr(rest, RSTART)
      goes_on = $0 ~ /\\$/
      if (text != "") print FILENAME ":" FNR ":" text
    }'
}

# The glossary names the words to avoid.
found=$(prose | grep -v '^CONTRIBUTING.md:[0-9]*:| ' | grep -Ei -f "$patterns" || true)
if [ "${1:-}" = count ]; then
  lines=$(files | xargs cat | wc -l)
  cut -d/ -f1 <<<"$found" | cut -d: -f1 | sort | uniq -c | sort -rn
  number=$(grep -c . <<<"$found" || true)
  awk -v n="$number" -v l="$lines" 'BEGIN { printf "%d riddles in %d lines: %.1f in a thousand\n", n, l, 1000 * n / l }'
  exit
fi
[ -z "$found" ] && exit
printf '%s\n' "$found"
echo "language: each line above has a form that must be read twice; $riddles says what to write instead" >&2
exit 1
