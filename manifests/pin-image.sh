#!/usr/bin/env bash
# Pins the controller or the page to one image. usage: pin-image.sh controller|page REPOSITORY@sha256:DIGEST
set -euo pipefail
part=${1:-} image=${2:-}
if [ "$part" != controller ] && [ "$part" != page ]; then
  echo "error: part '$part': is not one of controller, page" >&2
  exit 2
fi
if ! [[ $image =~ ^([^@[:space:]]+)@(sha256:[0-9a-f]{64})$ ]]; then
  echo "error: image '$image': is not pinned by digest; write REPOSITORY@sha256: and 64 hexadecimal digits" >&2
  exit 2
fi
cat >"$(dirname "$0")/$part/image/kustomization.yaml" <<EOF
# Written by pin-image.sh.
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
images:
- name: privatekube/$part
  newName: ${BASH_REMATCH[1]}
  digest: ${BASH_REMATCH[2]}
EOF
