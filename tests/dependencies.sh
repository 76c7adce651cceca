#!/usr/bin/env bash
# Checks rules of ARCHITECTURE.md with cargo: the broker and the client do not depend on Kubernetes, and all programs
# use one crypto provider.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# uses PACKAGES...: prints the names of all crates that the packages' programs contain.
uses() {
  cargo tree --locked --edges normal --prefix none --format '{p}' "$@" | cut -d' ' -f1 | sort -u
}

# forbid WHY PATTERN NAMES: fails if one of the names matches the pattern.
forbid() {
  if grep -xE "$2" <<<"$3"; then
    echo "tests/dependencies.sh: $1, see above" >&2
    exit 1
  fi
}

broker=$(uses --package restante-broker)
forbid 'the broker must not depend on a Kubernetes client' 'kube-(client|runtime)|restante-operator' "$broker"
client=$(uses --package restante-client)
forbid 'the client must not know Kubernetes' 'kube.*|k8s-openapi|schemars|restante-(crds|broker|operator)' "$client"
all=$(uses --workspace)
forbid 'rustls with ring is the one crypto provider' 'aws-lc-(rs|sys|fips-sys)|openssl(-sys)?|native-tls' "$all"
