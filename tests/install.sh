#!/usr/bin/env bash
# Installs missing Debian packages of the tests. If it cannot, it prints what to install.
set -euo pipefail
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

. "$(dirname "$0")/debian-packages.sh"

needs gcc command -v gcc
# For linking static programs.
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
  echo "tests/install.sh: Go is missing, which builds the tests' Kubernetes: install 1.26 or newer from https://go.dev/dl/" >&2
  exit 1
fi
will_install tests/install.sh 'missing Debian packages, so tests that need them will fail' || exit 0
keep_servers_down
install_missing
