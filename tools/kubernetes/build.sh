#!/usr/bin/env bash
# Builds kube-apiserver, kubectl and etcd, as pinned in go.mod and go.sum here, and prints their folder.
#
#   tools/kubernetes/build.sh            takes five minutes on two cores the first time, none later
#   tools/kubernetes/build.sh --where    only prints the folder, whether they are built or not
#
# They are kept outside the tree, in $XDG_CACHE_HOME (or ~/.cache)/privatekube/kubernetes, by the digest of the pins.
# Needs Go of the version in go.mod or later; modules come from GOPROXY.
set -euo pipefail
cd "$(dirname "$0")"
minor=36 patch=3 # as in go.mod: version checks fail in binaries without a version
pinned=$(cat go.mod go.sum tools.go build.sh | sha256sum | cut -c1-16)
folder="${XDG_CACHE_HOME:-$HOME/.cache}/privatekube/kubernetes/$pinned"
if [ "${1:-}" != --where ] && [ ! -e "$folder/complete" ]; then
  if ! command -v go >/dev/null; then
    echo "error: go: not found; install Go $(awk '$1 == "go" {print $2}' go.mod) or later, or set KUBEBUILDER_ASSETS to a folder of binaries" >&2
    exit 2
  fi
  mkdir -p "$folder"
  echo "building kube-apiserver, kubectl and etcd into $folder" >&2
  version=k8s.io/component-base/version
  flags="-s -w -X $version.gitVersion=v1.$minor.$patch -X $version.gitMajor=1 -X $version.gitMinor=$minor"
  export CGO_ENABLED=0
  go build -mod=readonly -ldflags "$flags" -o "$folder/" k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kubectl >&2
  go build -mod=readonly -ldflags "-s -w" -o "$folder/etcd" go.etcd.io/etcd/server/v3 >&2
  touch "$folder/complete"
fi
echo "$folder"
