#!/usr/bin/env bash
# Pins the controller to one image. usage: pin-image.sh REPOSITORY@sha256:DIGEST
set -euo pipefail
if ! [[ ${1:-} =~ ^([^@[:space:]]+)@(sha256:[0-9a-f]{64})$ ]]; then
  echo "error: image '${1:-}': is not pinned by digest; write REPOSITORY@sha256: and 64 hexadecimal digits" >&2
  exit 2
fi
cat >"$(dirname "$0")/image/kustomization.yaml" <<EOF
# Written by pin-image.sh.
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
images:
- name: privatekube/controller
  newName: ${BASH_REMATCH[1]}
  digest: ${BASH_REMATCH[2]}
EOF
