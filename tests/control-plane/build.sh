#!/usr/bin/env bash
# Builds the real Kubernetes that the tests run, and prints the folder that holds its commands.
#
# Versions are pinned in go.mod and go.sum (and in containerd/, which needs a module graph of its own). The folder is
# named by a hash of those files, so a second run finds it whole and costs nothing, from any clone of this repository.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here"

kubernetes=$(sed -nE 's#^\s*k8s\.io/kubernetes (v[0-9.]+).*#\1#p' go.mod)
minor=$(cut -d. -f2 <<<"$kubernetes")
key=$(cat go.mod go.sum containerd/go.mod containerd/go.sum build.sh | sha256sum | cut -c1-16)
cache=${RESTANTE_TOOLS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/restante/control-plane}
out=$cache/$key

mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
if [ -e "$out/complete" ]; then
  echo "$out"
  exit 0
fi

mkdir -p "$out"
# Without its version flags the API server calls itself v0.0.0 and clients misjudge what it can do.
version=k8s.io/component-base/version
flags="-s -w -X $version.gitVersion=$kubernetes -X $version.gitMajor=1 -X $version.gitMinor=$minor -X $version.gitTreeState=clean"

# build FOLDER OUTPUT PACKAGE [TAGS]: one static command, unless an interrupted run has already made it.
build() {
  if [ -x "$out/$2" ]; then return; fi
  echo "building $2 ($3)" >&2
  (cd "$1" && CGO_ENABLED=0 go build -trimpath -ldflags "$flags" -tags "${4:-}" -o "$out/.$2" "$3") >&2
  mv "$out/.$2" "$out/$2"
}

build . etcd go.etcd.io/etcd/server/v3
for command in kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl; do
  build . "$command" "k8s.io/kubernetes/cmd/$command"
done
build . helm helm.sh/helm/v4/cmd/helm
for command in containerd containerd-shim-runc-v2 ctr; do
  build containerd "$command" "github.com/containerd/containerd/v2/cmd/$command" no_btrfs,no_devmapper,no_zfs
done

touch "$out/complete"
# Folders of other versions are of no more use to this clone, but may be to another: keep the four newest.
find "$cache" -mindepth 1 -maxdepth 1 -type d -printf '%T@ %p\n' | sort -rn | tail -n +5 | cut -d' ' -f2- | xargs -r rm -rf
echo "$out"
