#!/usr/bin/env bash
# Installs the fuzzer and the client generator that read /openapi.json, and prints the folder that holds their commands.
#
# Versions are pinned in requirements.txt. The folder is named by a hash of it, so a second run finds it whole and needs no
# network.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

key=$(cat requirements.txt install.sh | sha256sum | cut -c1-16)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/restante/openapi
out=$cache/$key

mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
if [ ! -e "$out/complete" ]; then
  echo "installing the tools that read openapi.json" >&2
  # Files of an interrupted run look like complete ones.
  rm -rf "$out"
  python3 -m venv "$out" >&2
  "$out/bin/pip" install --quiet --disable-pip-version-check --requirement requirements.txt >&2
  touch "$out/complete"
fi
# Folders of other versions are of no more use to this clone, but may be to another: keep the four newest.
find "$cache" -mindepth 1 -maxdepth 1 -type d -printf '%T@ %p\n' | sort -rn | tail -n +5 | cut -d' ' -f2- | xargs -r rm -rf
echo "$out/bin"
