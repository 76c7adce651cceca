# Debian packages that a script needs and that are not there. Read by the scripts that install some, each under
# `set -euo pipefail`: three steps, because each says itself what it is without them, and what a failure means.

missing=()
# needs PACKAGE TEST...: the package, unless the test holds.
needs() {
  local package=$1
  shift
  if ! "$@" >/dev/null 2>&1; then missing+=("$package"); fi
}

# will_install SCRIPT WITHOUT: whether there is something to install, and can be. If it cannot, says what that means: WITHOUT.
will_install() {
  if [ ${#missing[@]} = 0 ]; then return 1; fi
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "$1: $2: ${missing[*]}" >&2
    return 1
  fi
  echo "$1: installing ${missing[*]}" >&2
}

# Packages of servers would start them, and keep them; whoever needs one starts its own. Until the script ends.
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
