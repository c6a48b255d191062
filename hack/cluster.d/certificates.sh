# shellcheck shell=bash
# One authority, a certificate for each that talks, and a kubeconfig with it. What someone may do is in the names: Kubernetes
# takes O as groups and CN as the user.

make_certificates() {
  local node
  umask 077
  mkdir -p "$certificates"
  cd "$certificates"
  new_key ca
  openssl req -x509 -key ca.key -out ca.crt -days 3650 -subj "/CN=$marked"
  new_key service-accounts
  openssl pkey -in service-accounts.key -pubout -out service-accounts.pub
  certify apiserver /CN=kube-apiserver "IP:127.0.0.1,IP:$CONTROL_ADDRESS,IP:$SERVICE_ADDRESS,DNS:kubernetes.default.svc,DNS:localhost"
  certify apiserver-to-kubelets /O=system:masters/CN=kube-apiserver-kubelet-client
  certify front-proxy /CN=front-proxy
  certify admin /O=system:masters/CN=admin
  certify controller-manager /CN=system:kube-controller-manager
  certify scheduler /CN=system:kube-scheduler
  for node in "${NODES[@]}"; do
    certify "node-$node" "/O=system:nodes/CN=system:node:node-$node" "DNS:node-$node,IP:$(node_address "$node")"
  done
}

new_key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key"; }

# certify NAME SUBJECT [ADDRESSES]: NAME.key, NAME.crt and NAME.conf, a kubeconfig that holds both.
certify() {
  new_key "$1"
  {
    echo "keyUsage=digitalSignature"
    echo "extendedKeyUsage=serverAuth,clientAuth"
    if [[ -n ${3:-} ]]; then echo "subjectAltName=$3"; fi
  } >"$1.extensions"
  openssl req -new -key "$1.key" -subj "$2" -out "$1.request"
  openssl x509 -req -in "$1.request" -CA ca.crt -CAkey ca.key -CAcreateserial -out "$1.crt" -days 3650 -extfile "$1.extensions"
  rm "$1.extensions" "$1.request"
  write_kubeconfig "$1" >"$1.conf"
}

write_kubeconfig() {
  cat <<END
apiVersion: v1
kind: Config
current-context: $cluster
contexts:
- {name: $cluster, context: {cluster: $cluster, user: $1}}
clusters:
- {name: $cluster, cluster: {server: "https://$CONTROL_ADDRESS", certificate-authority-data: $(base64 -w 0 ca.crt)}}
users:
- {name: $1, user: {client-certificate-data: $(base64 -w 0 "$1.crt"), client-key-data: $(base64 -w 0 "$1.key")}}
END
}
