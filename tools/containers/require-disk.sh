#!/usr/bin/env bash
# Ends in one line where there is less disk than the images of the tests, and the node that runs them, take.
#
#   tools/containers/require-disk.sh GIB   in $TMPDIR or /tmp, and where Podman keeps images
set -euo pipefail
needed=${1:?usage: require-disk.sh GIB}
images=$(podman info --format '{{.Store.GraphRoot}}' 2>/dev/null) || images=/
for folder in "${TMPDIR:-/tmp}" "$images"; do
  free=$(($(df --output=avail --block-size=1M "$folder" | tail -1) / 1024))
  if ((free < needed)); then
    echo "error: $folder has $free GiB free, and these tests take up to $needed: free some, or use another folder (TMPDIR; Podman's storage.conf)" >&2
    exit 2
  fi
done
