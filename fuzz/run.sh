#!/usr/bin/env bash
# Fuzzes: run.sh SECONDS TARGET,TARGET… or all. Installs cargo-fuzz if it is missing; needs a C++ compiler, for libFuzzer.
# Findings are in fuzz/artifacts/TARGET. Fix them, and keep the input in fuzz/seeds/TARGET, so that the tests run it from then on.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=$1 targets=$2

if ! cargo fuzz --version >/dev/null 2>&1; then cargo install --locked cargo-fuzz; fi
if ! command -v c++ >/dev/null; then
  echo "fuzz/run.sh: a C++ compiler is missing (Debian: g++)" >&2
  exit 1
fi
if [ "$targets" = all ]; then targets=$(cargo fuzz list | paste -sd,); fi

# Coverage needs an unstable compiler flag. No sanitizer: there is no unsafe code to check.
export RUSTC_BOOTSTRAP=1
for target in ${targets//,/ }; do
  echo "fuzz/run.sh: $target, for $seconds seconds" >&2
  mkdir -p "fuzz/corpus/$target"
  # The corpus grows and is not committed; the seeds are.
  cargo fuzz run --sanitizer none "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
    -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -print_final_stats=1
done
