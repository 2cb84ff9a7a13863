# Where things lie and which addresses they have. Sourced by every program of this folder.

CACHE=${TANDEM_CLUSTER_CACHE:-${HOME:-/root}/.cache/tandem-cluster}
STATE=${TANDEM_CLUSTER_STATE:-/tmp/tandem-cluster}
NODES=${TANDEM_CLUSTER_NODES:-3}

PKI=$STATE/pki       # keys, certificates, kubeconfigs
LOG=$STATE/log       # one file for each process
RUN=$STATE/run       # NAME.pid, NAME.start and sockets
ETC=$STATE/etc       # configuration files
DATA=$STATE/data     # what etcd, containerd, kubelets and volumes store
KUBECONFIG_FILE=$PKI/admin.kubeconfig

BRIDGE=tandem0
HOST_ADDRESS=172.30.0.1
GATEWAY=gateway
GATEWAY_ADDRESS=172.30.0.9
POD_NETWORK=10.88.0.0/16
SERVICE_NETWORK=10.96.0.0/16
SERVICE_ADDRESS=10.96.0.1 # the API server's own
DNS_ADDRESS=10.96.0.10

# Node N is called nodeN, has 172.30.0.(10+N) and the pods 10.88.N.0/24.
node_address() { printf '172.30.0.%d\n' "$((10 + $1))"; }
node_pods() { printf '10.88.%d.0/24\n' "$1"; }
node_socket() { printf '%s/%s/containerd.sock\n' "$RUN" "$1"; }
node_names() {
    local number
    for number in $(seq "$NODES"); do printf 'node%d\n' "$number"; done
}
