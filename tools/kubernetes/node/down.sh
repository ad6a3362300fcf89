#!/usr/bin/env bash
# Stops the processes of up.sh by their recorded ids, and removes their containers, mounts, network namespace and cgroups.
#
#   tools/kubernetes/node/down.sh STATE [--keep-logs]   removes the folder too; --keep-logs keeps logs/ and podlogs/
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
state=$(realpath "${1:?usage: down.sh STATE [--keep-logs]}")
if [ ! -d "$state/run/processes" ]; then echo "error: $state: no node is up there" >&2; exit 2; fi
cd "$state" || exit 2
. "$here/processes.sh"
name=$(name_of "$state")
export PATH=$PATH:/usr/sbin:/sbin CONTAINERD_ADDRESS="$state/run/containerd.sock"

stop kubelet kube-proxy kube-controller-manager kube-scheduler
if is_running containerd; then
  containers() { timeout 20 ctr --namespace k8s.io "$@"; }
  for task in $(containers tasks ls -q); do containers tasks kill --signal 9 "$task"; done
  sleep 0.5
  for task in $(containers tasks ls -q); do containers tasks rm --force "$task" &>/dev/null; done
fi
stop containerd registry kube-apiserver etcd
awk -v state="$state/" 'index($5, state) == 1 {print $5}' /proc/self/mountinfo | sort -r | while read -r mount; do
  umount "$mount" || umount --lazy "$mount"
done
[ ! -e "/run/netns/$name" ] || ip netns del "$name"
for cgroup in $(cgroups) "/sys/fs/cgroup/unified/$name"; do # runc creates the last one
  [ ! -d "$cgroup" ] || find "$cgroup" -depth -type d -exec rmdir {} +
done
devices=/var/lib/kubelet/device-plugins # this path is not configurable
rm -f $devices/kubelet.sock
rmdir $devices "${devices%/*}" 2>/dev/null
limit=$(cut -d' ' -f1 run/processes/limit 2>/dev/null)
if [ "$limit" = $$ ]; then rm run/processes/limit; else # this script may be run by the limit itself
  is_running limit && kill -- "-$limit"
fi
if [ "${2:-}" = --keep-logs ]; then
  rm -rf run etcd kubelet containerd registry pki etc
else
  cd / && rm -rf "$state"
fi
