#!/usr/bin/env bash
# Builds what a node needs beside the API server, as pinned in go.mod and go.sum here, and prints the folder of:
# kubelet, kube-controller-manager, kube-scheduler, kube-proxy, the images pause and coredns, and the binaries of ../build.sh.
#
#   tools/kubernetes/node/build.sh            takes two minutes on two cores after ../build.sh the first time, none later
#   tools/kubernetes/node/build.sh --where    only prints the folder, whether it is built or not
#
# A separate Go module, so that the API server can be built without it. Needs Go; see ../build.sh.
set -euo pipefail
cd "$(dirname "$0")"
minor=36 patch=3 # as in go.mod: version checks fail in binaries without a version
server=$(../build.sh "$@")
pinned=$( (basename "$server"; cat go.mod go.sum tools.go build.sh image.py coredns/*.go pause/*.go) | sha256sum | cut -c1-16)
folder="${XDG_CACHE_HOME:-$HOME/.cache}/privatekube/kubernetes/node-$pinned"
if [ "${1:-}" != --where ] && [ ! -e "$folder/complete" ]; then
  if ! command -v go >/dev/null; then
    echo "error: go: not found; install Go $(awk '$1 == "go" {print $2}' go.mod) or later" >&2
    exit 2
  fi
  mkdir -p "$folder/images" "$folder/programs"
  echo "building kubelet, kube-controller-manager, kube-scheduler, kube-proxy and CoreDNS into $folder" >&2
  version=k8s.io/component-base/version
  flags="-s -w -X $version.gitVersion=v1.$minor.$patch -X $version.gitMajor=1 -X $version.gitMinor=$minor"
  export CGO_ENABLED=0
  go build -mod=readonly -ldflags "$flags" -o "$folder/" k8s.io/kubernetes/cmd/{kubelet,kube-controller-manager,kube-scheduler,kube-proxy} >&2
  for program in coredns pause; do
    go build -mod=readonly -ldflags "-s -w" -o "$folder/programs/$program" "./$program" >&2
    ./image.py "$folder/images/$program.tar" "localhost/$program:1" "$folder/programs/$program"
  done
  ln -sf "../$(basename "$server")"/{etcd,kube-apiserver,kubectl} "$folder/"
  touch "$folder/complete"
fi
echo "$folder"
