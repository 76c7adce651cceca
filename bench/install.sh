#!/usr/bin/env bash
# Installs the brokers to compare Restante with, and prints the folder of the ones that are not Debian packages. It
# reports a broker that it cannot install, and the benchmark's table lists that broker as missing.
set -euo pipefail
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
. "$(dirname "$0")/../tests/debian-packages.sh"

nats=v2.15.2
# In the cache of the tests' Kubernetes. The folder has the version in its name, so that a second run from any clone
# does nothing.
out=${RESTANTE_TOOLS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/restante}/bench/nats-$nats
echo "$out"

if [ ! -x "$out/nats-server" ]; then
  if command -v go >/dev/null; then
    echo "bench/install.sh: building NATS $nats" >&2
    mkdir -p "$out"
    CGO_ENABLED=0 GOBIN=$out go install -trimpath "github.com/nats-io/nats-server/v2@$nats" >&2 ||
      echo "bench/install.sh: building NATS failed, see above: its rows will be missing" >&2
  else
    echo "bench/install.sh: Go is missing, which builds NATS: install 1.26 or newer from https://go.dev/dl/" >&2
  fi
fi

needs redis-server test -x /usr/bin/redis-server
needs rabbitmq-server test -x /usr/lib/rabbitmq/bin/rabbitmq-server
needs beanstalkd test -x /usr/bin/beanstalkd

will_install bench/install.sh 'missing Debian packages, so their rows will be missing' || exit 0
# The benchmark starts its own servers, on a core and a port of its choice.
keep_servers_down
install_missing >&2 ||
  echo "bench/install.sh: installing the packages failed, see above: their rows will be missing" >&2
