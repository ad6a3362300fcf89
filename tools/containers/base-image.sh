#!/usr/bin/env bash
# Makes a base image for tests without a public registry: Debian bookworm and its python3, like python:3.11-slim.
#
#   tools/containers/base-image.sh NAME    makes the image NAME in Podman's store, unless it exists
#
# The mirror is DEBIAN_MIRROR, else the one that apt uses here. The image contains this machine's certificate
# authorities and pip's index settings, so that pip works in RUN steps: it is for tests, never for a registry that others
# read. The packed file system is kept in $XDG_CACHE_HOME (or ~/.cache)/privatekube/containers.
set -euo pipefail
cd "$(dirname "$0")"
name=${1:?usage: base-image.sh NAME}
suite=bookworm
authorities=/etc/ssl/certs/ca-certificates.crt
label=privatekube.test-base
export CONTAINERS_CONF="$PWD/containers.conf" CONTAINERS_REGISTRIES_CONF="$PWD/registries.conf"

mirror() { # prints the mirror of the apt source that has the suite
  [ -z "${DEBIAN_MIRROR:-}" ] || { echo "$DEBIAN_MIRROR"; return; }
  apt-get indextargets --format '$(CODENAME) $(ORIGIN) $(REPO_URI)' 'Created-By: Packages' |
    awk -v suite=$suite '$1 == suite && $2 == "Debian" {print $3; exit}'
}
pip_settings() { # prints the package index and the trusted authorities
  echo "[global]"
  echo "cert = $authorities"
  python3 -m pip config list 2>/dev/null |
    sed -nE "s/^[^=]*\.(index-url|extra-index-url|trusted-host|proxy|default-timeout|timeout)='(.*)'$/\1 = \2/p" | sort -u
}

from=$(mirror)
if [ -z "$from" ]; then
  echo "error: Debian mirror: apt has no source of $suite; set DEBIAN_MIRROR to one" >&2
  exit 2
fi
key=$( (cat base-image.sh "$authorities"; pip_settings; echo "$from") | sha256sum | cut -c1-16)
have=$(podman image inspect --format "{{index .Labels \"$label\"}}" "$name" 2>/dev/null || true)
[ "$have" != "$key" ] || exit 0

cache="${XDG_CACHE_HOME:-$HOME/.cache}/privatekube/containers"
packed="$cache/$suite-$key.tar"
if [ ! -e "$packed" ]; then
  mkdir -p -m 700 "$cache"
  root=$(mktemp -d "$cache/root.XXXXXX")
  trap 'rm -rf "$root" "$packed.part"' EXIT
  echo "making a base image of $suite from the Debian mirror" >&2
  PATH=$PATH:/usr/sbin:/sbin debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates \
    $suite "$root" "$from" >"$cache/debootstrap.log" 2>&1 || {
    echo "error: debootstrap: failed; see $cache/debootstrap.log" >&2
    tail -3 "$cache/debootstrap.log" >&2
    exit 1
  }
  rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/* "$root"/usr/share/doc/*/* "$root"/usr/share/man/*
  find "$root" -name __pycache__ -prune -exec rm -rf {} +
  cp "$authorities" "$root$authorities"
  pip_settings >"$root/etc/pip.conf"
  rm -f "$root/etc/resolv.conf" "$root/etc/hostname"
  tar -C "$root" --one-file-system -cf "$packed.part" .
  mv "$packed.part" "$packed"
  find "$cache" -name '*.tar' ! -path "$packed" -delete
fi
podman import --quiet --change "LABEL $label=$key" --change "CMD [\"python3\"]" \
  --change "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" "$packed" "$name" >/dev/null
