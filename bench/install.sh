#!/usr/bin/env bash
# Gets the brokers that ours is compared with, and prints the folder of those that are no Debian packages. What it cannot
# get it names: the benchmark then names it in its table.
set -euo pipefail
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

nats=v2.15.2
# Beside the tests' Kubernetes. Named by the version, so that a second run costs nothing, from any clone.
out=${RESTANTE_TOOLS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/restante}/bench/nats-$nats
echo "$out"

if [ ! -x "$out/nats-server" ]; then
  if command -v go >/dev/null; then
    echo "bench/install.sh: building NATS $nats" >&2
    mkdir -p "$out"
    CGO_ENABLED=0 GOBIN=$out go install -trimpath "github.com/nats-io/nats-server/v2@$nats" >&2 ||
      echo "bench/install.sh: NATS could not be built, see above: its rows will be missing" >&2
  else
    echo "bench/install.sh: Go is missing, to build NATS: install 1.26 or newer from https://go.dev/dl/" >&2
  fi
fi

missing=()
# needs PACKAGE PROGRAM: the package, unless the program is there.
needs() {
  if ! [ -x "$2" ]; then missing+=("$1"); fi
}
needs redis-server /usr/bin/redis-server
needs rabbitmq-server /usr/lib/rabbitmq/bin/rabbitmq-server
needs beanstalkd /usr/bin/beanstalkd

if [ ${#missing[@]} = 0 ]; then exit 0; fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "bench/install.sh: these Debian packages are missing, and so will be their rows: ${missing[*]}" >&2
  exit 0
fi

echo "bench/install.sh: installing ${missing[*]}" >&2
# The packages would start their servers, and keep them; a run starts its own, on a core and a port of its choice.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
{
  apt-get update --quiet --quiet
  apt-get install --quiet --yes --no-install-recommends "${missing[@]}"
} >&2 || echo "bench/install.sh: the packages could not be installed, see above: their rows will be missing" >&2
