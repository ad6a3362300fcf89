#!/usr/bin/env bash
# Builds kube-apiserver, kubectl and etcd, as pinned in go.mod and go.sum here, and prints the folder they are in.
#
#   tools/kubernetes/build.sh            five minutes on two cores the first time, then at once
#   tools/kubernetes/build.sh --where    only says where they are, or would be
#
# They are kept outside the tree, in $XDG_CACHE_HOME (or ~/.cache)/privatekube/kubernetes, by the digest of what is pinned.
# Needs Go, of the version in go.mod or later; GOPROXY says where modules come from, as ever.
set -euo pipefail
cd "$(dirname "$0")"
minor=36 patch=3 # as in go.mod: version checks misbehave in binaries that do not know theirs
pinned=$(cat go.mod go.sum tools.go build.sh | sha256sum | cut -c1-16)
folder="${XDG_CACHE_HOME:-$HOME/.cache}/privatekube/kubernetes/$pinned"
if [ "${1:-}" != --where ] && [ ! -e "$folder/complete" ]; then
  if ! command -v go >/dev/null; then
    echo "error: go: not found; install Go $(awk '$1 == "go" {print $2}' go.mod) or later, or name ready binaries in KUBEBUILDER_ASSETS" >&2
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
