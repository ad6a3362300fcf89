#!/usr/bin/env bash
# Installs the Debian packages of a node that runs pods: containerd, runc, network plugins, a registry, Podman.
#
#   tools/kubernetes/node/install.sh            installs only what is missing; needs root
#   tools/kubernetes/node/install.sh --missing  only prints what is missing, and fails if anything is
#
# No service is started: the node runs its own processes in its own network.
set -euo pipefail
cd "$(dirname "$0")"
../../containers/install.sh "$@" # podman, runc, docker-registry, debootstrap
declare -A package_of=([containerd]=containerd [nft]=nftables [iptables]=iptables [ip]=iproute2 [nsenter]=util-linux
  [openssl]=openssl [conntrack]=conntrack)
missing=()
for program in "${!package_of[@]}"; do
  PATH=$PATH:/usr/sbin:/sbin command -v "$program" >/dev/null || missing+=("${package_of[$program]}")
done
[ -e /usr/lib/cni/bridge ] || missing+=(containernetworking-plugins)
if ((!${#missing[@]})); then exit 0; fi
if [ "${1:-}" = --missing ] || ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
  echo "error: ${missing[*]}: not installed; run make node-tools as root on Debian" >&2
  exit 2
fi
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  printf '#!/bin/sh\nexit 101\n' >$policy
  chmod +x $policy
  trap 'rm -f $policy' EXIT
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 "${missing[@]}"
