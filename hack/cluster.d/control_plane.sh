# shellcheck shell=bash
# etcd, the API server, the controller manager and the scheduler, in the control plane's network.

start_control_plane() {
  start_etcd
  start_apiserver
  wait_for 60 apiserver "the API server's readiness" admin get --raw /readyz
  start_controller_manager
  start_scheduler
  admin apply -f - <<END
apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata: {name: holdfast}
handler: holdfast
END
}

# admin ARG...: kubectl with all rights. Without the user's settings.
admin() {
  local -a enter
  enter_place control
  "${enter[@]}" env -i PATH="$node_path" HOME=/nonexistent kubectl --cache-dir="$state/kubectl" --kubeconfig "$certificates/admin.conf" --request-timeout=10s "$@"
}

start_etcd() {
  start etcd control etcd --data-dir "$state/etcd" \
    --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
    --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 \
    --initial-cluster default=http://127.0.0.1:2380
}

# On port 443, so that the address of its service, which pods take from their environment, is right without a kube-proxy.
start_apiserver() {
  start apiserver control kube-apiserver --etcd-servers=http://127.0.0.1:2379 \
    --advertise-address="$CONTROL_ADDRESS" --bind-address=0.0.0.0 --secure-port=443 \
    --tls-cert-file="$certificates/apiserver.crt" --tls-private-key-file="$certificates/apiserver.key" \
    --client-ca-file="$certificates/ca.crt" \
    --requestheader-client-ca-file="$certificates/ca.crt" --requestheader-allowed-names=front-proxy \
    --requestheader-username-headers=X-Remote-User --requestheader-group-headers=X-Remote-Group --requestheader-extra-headers-prefix=X-Remote-Extra- \
    --proxy-client-cert-file="$certificates/front-proxy.crt" --proxy-client-key-file="$certificates/front-proxy.key" \
    --kubelet-client-certificate="$certificates/apiserver-to-kubelets.crt" --kubelet-client-key="$certificates/apiserver-to-kubelets.key" \
    --kubelet-certificate-authority="$certificates/ca.crt" --kubelet-preferred-address-types=InternalIP \
    --service-account-issuer=https://kubernetes.default.svc --service-account-key-file="$certificates/service-accounts.pub" \
    --service-account-signing-key-file="$certificates/service-accounts.key" \
    --authorization-mode=Node,RBAC --service-cluster-ip-range="$SERVICE_RANGE" --allow-privileged=true --profiling=false
}

# A node counts as lost after 20 s without a sign of life (50 by default), so that trying that out is no test of patience.
start_controller_manager() {
  start controller-manager control kube-controller-manager --leader-elect=false --node-monitor-grace-period=20s \
    --kubeconfig="$certificates/controller-manager.conf" \
    --authentication-kubeconfig="$certificates/controller-manager.conf" --authorization-kubeconfig="$certificates/controller-manager.conf" \
    --use-service-account-credentials=true --service-account-private-key-file="$certificates/service-accounts.key" \
    --root-ca-file="$certificates/ca.crt" --cluster-signing-cert-file="$certificates/ca.crt" --cluster-signing-key-file="$certificates/ca.key"
}

start_scheduler() {
  start scheduler control kube-scheduler --leader-elect=false --kubeconfig="$certificates/scheduler.conf" \
    --authentication-kubeconfig="$certificates/scheduler.conf" --authorization-kubeconfig="$certificates/scheduler.conf"
}
