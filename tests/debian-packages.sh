# Functions to install missing Debian packages, for scripts that run under `set -euo pipefail`. They are three separate
# steps, because each script prints its own consequence of a missing package and of a failure.

missing=()
# needs PACKAGE TEST...: adds the package to the missing ones, unless the test succeeds.
needs() {
  local package=$1
  shift
  if ! "$@" >/dev/null 2>&1; then missing+=("$package"); fi
}

# will_install SCRIPT CONSEQUENCE: whether packages are missing and can be installed. If they cannot, prints the
# consequence.
will_install() {
  if [ ${#missing[@]} = 0 ]; then return 1; fi
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "$1: $2: ${missing[*]}" >&2
    return 1
  fi
  echo "$1: installing ${missing[*]}" >&2
}

# Keeps packages of servers from starting them, until the script ends. A script that needs a server starts its own.
keep_servers_down() {
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
  fi
}

install_missing() {
  export DEBIAN_FRONTEND=noninteractive
  apt-get update --quiet --quiet
  apt-get install --quiet --yes --no-install-recommends "${missing[@]}"
}
