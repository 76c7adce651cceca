#!/usr/bin/env bash
# Installs the Debian packages that the tests need and that are not there. Where it cannot, it says what to install.
set -euo pipefail
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

missing=()
# needs PACKAGE TEST...: the package, unless the test holds.
needs() {
  local package=$1
  shift
  if ! "$@" >/dev/null 2>&1; then missing+=("$package"); fi
}

needs gcc command -v gcc
# Static programs are linked with this.
needs libc6-dev test -e "$(gcc -print-file-name=libc.a 2>/dev/null)"
needs curl command -v curl
needs util-linux command -v setpriv
needs iproute2 command -v ip
needs nftables command -v nft
needs runc command -v runc
needs containernetworking-plugins test -x /usr/lib/cni/bridge -o -x /opt/cni/bin/bridge
needs buildah command -v buildah
needs nginx-light command -v nginx
needs prometheus command -v promtool
needs python3-venv python3 -c 'import ensurepip, venv'

if [ "$(id -u)" = 0 ] && ! command -v go >/dev/null; then
  echo "tests/install.sh: Go is missing, to build the tests' Kubernetes: install 1.26 or newer from https://go.dev/dl/" >&2
  exit 1
fi
if [ ${#missing[@]} = 0 ]; then exit 0; fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "tests/install.sh: what is in these Debian packages is missing, and tests that need it will fail: ${missing[*]}" >&2
  exit 0
fi

echo "tests/install.sh: installing ${missing[*]}" >&2
# Packages of servers would start them; the tests start their own.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update --quiet --quiet
apt-get install --quiet --yes --no-install-recommends "${missing[@]}"
