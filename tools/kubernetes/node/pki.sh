#!/usr/bin/env bash
# Makes the certificates and kubeconfigs of a node; they are valid for one day. usage: pki.sh FOLDER ADDRESS
set -euo pipefail
address=$2
mkdir -p -m 700 "$1"
cd "$1"

certificate() { # name subject use [alternative names]
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "$2" -keyout "$1.key" -out "$1.csr" 2>/dev/null
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 1 -out "$1.crt" -extfile <(
    printf 'keyUsage=critical,digitalSignature,keyEncipherment\nextendedKeyUsage=%s\n%s' "$3" "${4:+subjectAltName=$4}"
  ) 2>/dev/null
  rm "$1.csr"
}
client() { # name subject
  certificate "$1" "$2" clientAuth
  cat >"$1.kubeconfig" <<EOF
apiVersion: v1
kind: Config
clusters:
- name: node
  cluster: {server: "https://$address:6443", certificate-authority-data: $(base64 -w0 ca.crt)}
users:
- name: $1
  user: {client-certificate-data: $(base64 -w0 "$1.crt"), client-key-data: $(base64 -w0 "$1.key")}
contexts:
- name: $1
  context: {cluster: node, user: $1}
current-context: $1
EOF
  chmod 600 "$1.kubeconfig"
}

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=node-ca -keyout ca.key -out ca.crt \
  -addext keyUsage=critical,keyCertSign,cRLSign,digitalSignature 2>/dev/null
openssl genrsa -out tokens.key 2048 2>/dev/null
service=kubernetes.default
certificate apiserver /CN=kube-apiserver serverAuth \
  "IP:$address,IP:10.0.0.1,IP:127.0.0.1,DNS:localhost,DNS:kubernetes,DNS:$service,DNS:$service.svc,DNS:$service.svc.cluster.local"
certificate etcd /CN=etcd serverAuth,clientAuth IP:127.0.0.1
certificate kubelet-server /CN=system:node:node1/O=system:nodes serverAuth "IP:$address,DNS:node1"
certificate apiserver-kubelet /CN=apiserver-kubelet/O=system:masters clientAuth
client admin /CN=admin/O=system:masters
client kubelet /O=system:nodes/CN=system:node:node1
client kube-controller-manager /CN=system:kube-controller-manager
client kube-scheduler /CN=system:kube-scheduler
client kube-proxy /CN=system:kube-proxy
