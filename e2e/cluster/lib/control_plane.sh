# etcd, API server, controller manager and scheduler, on the host's network.

ETCD_CLIENTS=http://127.0.0.1:12379 # not the usual ports: an etcd of the machine may have them
ETCD_PEERS=http://127.0.0.1:12380

kube() { kubectl --kubeconfig "$KUBECONFIG_FILE" "$@"; }

start_etcd() {
    start etcd "$(folder_of etcd)/etcd" --data-dir "$DATA/etcd" --unsafe-no-fsync \
        --listen-client-urls "$ETCD_CLIENTS" --advertise-client-urls "$ETCD_CLIENTS" \
        --listen-peer-urls "$ETCD_PEERS" --initial-advertise-peer-urls "$ETCD_PEERS" \
        --initial-cluster "default=$ETCD_PEERS"
}

# Every admission plugin that is on by default stays on; calls of others than the cluster's own parts are
# written to audit.log.
start_apiserver() {
    start apiserver kube-apiserver --etcd-servers="$ETCD_CLIENTS" \
        --bind-address=0.0.0.0 --secure-port=6443 --advertise-address="$HOST_ADDRESS" \
        --tls-cert-file="$PKI/apiserver.crt" --tls-private-key-file="$PKI/apiserver.key" \
        --client-ca-file="$PKI/ca.crt" \
        --service-account-issuer=https://kubernetes.default.svc \
        --service-account-key-file="$PKI/tokens.pub" --service-account-signing-key-file="$PKI/tokens.key" \
        --service-cluster-ip-range="$SERVICE_NETWORK" --allow-privileged=true \
        --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction \
        --kubelet-client-certificate="$PKI/admin.crt" --kubelet-client-key="$PKI/admin.key" \
        --kubelet-certificate-authority="$PKI/ca.crt" --kubelet-preferred-address-types=InternalIP \
        --audit-policy-file="$HERE/manifests/audit.yaml" --audit-log-path="$LOG/audit.log" \
        --audit-log-maxsize=200 --audit-log-maxbackup=2
}

api_answers() { kube get --raw /readyz --request-timeout=2s; }

wait_for_api() { wait_until "the API server is ready" apiserver 60 api_answers; }

# Only one of each runs: no election. Addresses of pods are the nodes' own business.
start_controllers() {
    start manager kube-controller-manager --kubeconfig="$PKI/manager.kubeconfig" --bind-address=127.0.0.1 \
        --leader-elect=false --use-service-account-credentials=true --controllers='*,-nodeipam' \
        --cluster-cidr="$POD_NETWORK" --allocate-node-cidrs=false \
        --root-ca-file="$PKI/ca.crt" --service-account-private-key-file="$PKI/tokens.key"
    start scheduler kube-scheduler --kubeconfig="$PKI/scheduler.kubeconfig" --bind-address=127.0.0.1 \
        --leader-elect=false
}

make_control_plane() {
    mkdir -p "$DATA/etcd"
    chmod 700 "$DATA/etcd"
    start_etcd
    start_apiserver
    wait_for_api
    start_controllers
    kube create clusterrolebinding proxies --clusterrole=system:node-proxier --user=system:kube-proxy \
        --dry-run=client -o yaml | kube apply -f - >/dev/null
}
