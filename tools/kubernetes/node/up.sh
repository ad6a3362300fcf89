#!/usr/bin/env bash
# Starts a Kubernetes node that runs pods, in its own network namespace: no packet leaves the machine. Needs root.
#
#   tools/kubernetes/node/up.sh STATE [SECONDS]   STATE: folder for its files; down.sh runs automatically after SECONDS
#
# Prints the network namespace. Use it with: nsenter --net=/run/netns/NAMESPACE kubectl --kubeconfig STATE/pki/admin.kubeconfig
# Its registry is 10.244.0.1:5000, plain HTTP. The settings and their reasons are in configuration/.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
binaries=$("$here/build.sh" --where)
state=$(realpath -m "${1:?usage: up.sh STATE [SECONDS]}") seconds=${2:-7200} address=10.244.0.1
export PATH=$PATH:/usr/sbin:/sbin
"$here/install.sh" --missing
if [ ! -e "$binaries/complete" ]; then echo "error: $binaries: not built; run make node-tools" >&2; exit 2; fi
if [ -e "$state/run/processes" ]; then echo "error: $state: a node is running there already; run down.sh $state" >&2; exit 2; fi
mkdir -p "$state"/{run/processes,logs,podlogs,registry,etc/cni,"etc/registries/$address:5000"}
cd "$state"
. "$here/processes.sh"
name=$(name_of "$state")

is_done=
finish() { [ -n "$is_done" ] || { tail -n 3 logs/*.log >&2; "$here/down.sh" "$state" --keep-logs; }; }
trap finish EXIT
fail() { echo "error: $*" >&2; exit 1; }
inside() { nsenter --net="/run/netns/$name" "$@"; }
kubectl() { inside timeout 10 "$binaries/kubectl" --kubeconfig pki/admin.kubeconfig "$@"; }
wait_for() { # service seconds command...: until the command succeeds
  local service=$1 end=$((SECONDS + $2)) process
  shift 2
  until "$@" >logs/wait.log 2>&1; do
    for process in run/processes/*; do is_running "${process##*/}" || fail "${process##*/}: ended"; done
    ((SECONDS < end)) || fail "$service: not ready: $(tail -n 1 logs/wait.log)"
    sleep 0.2
  done
}

configure() { # writes configuration/FILE as etc/NAME
  sed -e "s|@STATE@|$state|g; s|@ADDRESS@|$address|g; s|@NAME@|$name|g" "$here/configuration/$1" >"etc/$2"
}
for file in containerd.toml registry.yaml kubelet.yaml kube-proxy.yaml; do configure $file $file; done
configure network.conflist cni/10-network.conflist
configure registry-hosts.toml "registries/$address:5000/hosts.toml"
: >etc/resolv.conf
"$here/pki.sh" "$state/pki" $address

ip netns add "$name"
inside ip link set lo up
inside ip link add cni0 type bridge
inside ip address add $address/24 dev cni0
inside ip link set cni0 up
inside ip route add default via $address dev cni0 # services' addresses need a route before kube-proxy rewrites them
inside sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
for cgroup in $(cgroups); do
  mkdir -p "$cgroup"
  for list in cpuset.cpus cpuset.mems; do # version 1 creates an empty cpuset
    [ ! -e "$cgroup/$list" ] || [ -n "$(cat "$cgroup/$list")" ] || cat "$cgroup/../$list" >"$cgroup/$list"
  done
done

start limit bash -c 'sleep "$1"; exec "$2" "$3"' limit "$seconds" "$here/down.sh" "$state"
start_inside containerd containerd --config etc/containerd.toml
start_inside registry docker-registry serve etc/registry.yaml
start_inside etcd "$binaries/etcd" --data-dir=etcd --unsafe-no-fsync --client-cert-auth \
  --{listen,advertise}-client-urls=https://127.0.0.1:2379 --{listen-peer,initial-advertise-peer}-urls=http://127.0.0.1:2380 \
  --initial-cluster=default=http://127.0.0.1:2380 --cert-file=pki/etcd.crt --key-file=pki/etcd.key --trusted-ca-file=pki/ca.crt
start_inside kube-apiserver "$binaries/kube-apiserver" --{bind,advertise}-address=$address --secure-port=6443 \
  --etcd-servers=https://127.0.0.1:2379 --etcd-cafile=pki/ca.crt --etcd-certfile=pki/etcd.crt --etcd-keyfile=pki/etcd.key \
  --tls-cert-file=pki/apiserver.crt --tls-private-key-file=pki/apiserver.key --client-ca-file=pki/ca.crt \
  --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --service-cluster-ip-range=10.0.0.0/24 \
  --service-account-issuer=https://kubernetes.default.svc.cluster.local --service-account-{signing-,}key-file=pki/tokens.key \
  --kubelet-certificate-authority=pki/ca.crt --kubelet-preferred-address-types=InternalIP \
  --kubelet-client-certificate=pki/apiserver-kubelet.crt --kubelet-client-key=pki/apiserver-kubelet.key
export CONTAINERD_ADDRESS="$state/run/containerd.sock"
wait_for containerd 30 ctr version
for archive in "$binaries"/images/*.tar; do ctr --namespace k8s.io images import "$archive" >/dev/null; done
wait_for kube-apiserver 60 kubectl get --raw /readyz

controls() { # name: options of kube-controller-manager and kube-scheduler
  printf -- '--%s=pki/%s.kubeconfig ' kubeconfig "$1" authentication-kubeconfig "$1" authorization-kubeconfig "$1"
  echo --bind-address=127.0.0.1 --leader-elect=false
}
start_inside kube-scheduler "$binaries/kube-scheduler" $(controls kube-scheduler)
start_inside kube-controller-manager "$binaries/kube-controller-manager" $(controls kube-controller-manager) \
  --use-service-account-credentials --service-account-private-key-file=pki/tokens.key --root-ca-file=pki/ca.crt \
  --cluster-signing-cert-file=pki/ca.crt --cluster-signing-key-file=pki/ca.key
start_inside kubelet "$binaries/kubelet" --config=etc/kubelet.yaml --kubeconfig=pki/kubelet.kubeconfig --root-dir="$state/kubelet" \
  --cert-dir="$state/kubelet/pki" --tls-cert-file=pki/kubelet-server.crt --tls-private-key-file=pki/kubelet-server.key \
  --hostname-override=node1 --node-ip=$address
start_inside kube-proxy "$binaries/kube-proxy" --config=etc/kube-proxy.yaml
wait_for kubelet 60 kubectl wait --for=condition=Ready node/node1 --timeout=1s
wait_for "the default service account" 30 kubectl get serviceaccount default
wait_for "the range of services" 60 kubectl apply -f "$here/configuration/coredns.yaml" # ready some seconds after /readyz
wait_for coredns 60 kubectl -n kube-system rollout status deployment/coredns --timeout=2s
is_done=yes
echo "$name"
