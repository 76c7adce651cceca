#!/usr/bin/env bash
# Gets the brokers that ours is compared with, and prints the folder of those that are no Debian packages. What it cannot
# get it names: the benchmark then names it in its table.
set -euo pipefail
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
. "$(dirname "$0")/../tests/debian-packages.sh"

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

needs redis-server test -x /usr/bin/redis-server
needs rabbitmq-server test -x /usr/lib/rabbitmq/bin/rabbitmq-server
needs beanstalkd test -x /usr/bin/beanstalkd

will_install bench/install.sh 'these Debian packages are missing, and so will be their rows' || exit 0
# A run starts its own servers, on a core and a port of its choice.
keep_servers_down
install_missing >&2 ||
  echo "bench/install.sh: the packages could not be installed, see above: their rows will be missing" >&2
