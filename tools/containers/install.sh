#!/usr/bin/env bash
# Installs the programs that build, store and run images on Debian: podman, runc, docker-registry, debootstrap.
#
#   tools/containers/install.sh            installs only what is missing; needs root
#   tools/containers/install.sh --missing  only prints what is missing, and fails if anything is
#
# Debian's docker-registry brings a service that listens on every interface; this script prevents it from starting.
set -euo pipefail
missing=()
for package in podman runc docker-registry debootstrap; do
  PATH=$PATH:/usr/sbin command -v "$package" >/dev/null || missing+=("$package")
done
[ -e /etc/ssl/certs/ca-certificates.crt ] || missing+=(ca-certificates)
if ((!${#missing[@]})); then exit 0; fi
if [ "${1:-}" = --missing ]; then
  echo "error: ${missing[*]}: not installed; run make containers-tools as root" >&2
  exit 2
fi
if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
  echo "error: ${missing[*]}: not installed; install them, or run this as root on Debian" >&2
  exit 2
fi
policy=/usr/sbin/policy-rc.d
if [[ " ${missing[*]} " == *" docker-registry "* ]]; then
  mkdir -p /etc/systemd/system
  ln -sfn /dev/null /etc/systemd/system/docker-registry.service
  if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod +x $policy
    trap 'rm -f $policy' EXIT
  fi
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
