# One node: its container runtime, its kubelet and its kube-proxy, all in its network namespace.

make_node() {
    local archives
    make_node_identity "$1"
    boot_node "$1"
    mapfile -t archives < <(image_archives)
    import_images "node$1" "${archives[@]}"
    serve_node "$1"
}

# boot_node NUMBER: up to where containers can run.
boot_node() {
    make_node_network "$1"
    configure_node "$1"
    make_cgroup "node$1"
    start_runtime "node$1"
}

# serve_node NUMBER: joins the cluster.
serve_node() {
    start_kubelet "node$1" "$(node_address "$1")"
    start_proxy "node$1" "node$1"
}

# runtime NODE COMMAND...: containerd's own client.
runtime() {
    local node=$1
    shift
    ctr --address "$(node_socket "$node")" --namespace k8s.io "$@"
}

configure_node() {
    local number=$1 node=node$1
    mkdir -p "$RUN/$node" "$ETC/$node/cni" "$DATA/$node"
    cat >"$ETC/$node/cni/10-pods.conflist" <<JSON
{
  "cniVersion": "1.0.0",
  "name": "tandem-pods",
  "plugins": [
    {
      "type": "ptp",
      "ipMasq": false,
      "ipam": {
        "type": "host-local",
        "dataDir": "$DATA/$node/addresses",
        "ranges": [[{"subnet": "$(node_pods "$number")"}]],
        "routes": [{"dst": "0.0.0.0/0"}]
      }
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
JSON
    # A process without CAP_SYS_RESOURCE may not lower scores of the OOM killer. Mounts of pods' network
    # namespaces stay below the state, where `down` finds them.
    cat >"$ETC/$node/containerd.toml" <<TOML
version = 3
root = "$DATA/$node/containerd"
state = "$RUN/$node/containerd"

[grpc]
address = "$(node_socket "$node")"

[ttrpc]
address = "$(node_socket "$node").ttrpc"

[plugins.'io.containerd.internal.v1.opt']
path = "$DATA/$node/opt"

[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = "localhost/pause:1"

[plugins.'io.containerd.nri.v1.nri']
  disable = true

[plugins.'io.containerd.cri.v1.runtime']
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true

[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ["$(folder_of cni)"]
conf_dir = "$ETC/$node/cni"
use_internal_loopback = true
TOML
    cat >"$ETC/$node/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: $PKI/ca.crt}
authorization: {mode: Webhook}
tlsCertFile: $PKI/$node.crt
tlsPrivateKeyFile: $PKI/$node.key
containerRuntimeEndpoint: unix://$(node_socket "$node")
cgroupDriver: cgroupfs
cgroupRoot: /$node
failCgroupV1: false
failSwapOn: false
enforceNodeAllocatable: [pods]
clusterDNS: [$DNS_ADDRESS]
clusterDomain: cluster.local
resolvConf: ""
nodeStatusUpdateFrequency: 4s
podLogsDir: $DATA/$node/logs
imageGCHighThresholdPercent: 100
evictionHard:
  memory.available: 100Mi
  nodefs.available: 100Mi
  imagefs.available: 100Mi
YAML
}

start_runtime() {
    local node=$1
    start "containerd-$node" nsenter --net="/run/netns/$node" -- containerd --config "$ETC/$node/containerd.toml"
    wait_until "containerd of $node answers" "containerd-$node" 30 runtime "$node" version
}

# import_images NODE ARCHIVE...
import_images() {
    local node=$1 archive
    shift
    for archive in "$@"; do
        runtime "$node" images import "$archive" >>"$LOG/images-$node.log" 2>&1 ||
            fail "$node did not take the image $archive" "see $LOG/images-$node.log"
    done
}

start_kubelet() {
    start "kubelet-$1" nsenter --net="/run/netns/$1" -- kubelet --config="$ETC/$1/kubelet.yaml" \
        --kubeconfig="$PKI/$1.kubeconfig" --hostname-override="$1" --node-ip="$2" --root-dir="$DATA/$1/kubelet"
}

# start_proxy NAMESPACE NODE: as which node it counts for local traffic policies. The connection tables'
# sizes cannot be set in a namespace.
start_proxy() {
    mkdir -p "$ETC/$1"
    cat >"$ETC/$1/proxy.yaml" <<YAML
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clusterCIDR: $POD_NETWORK
hostnameOverride: $2
clientConnection: {kubeconfig: $PKI/proxy.kubeconfig}
conntrack: {maxPerCore: 0, min: 0}
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
YAML
    start "proxy-$1" nsenter --net="/run/netns/$1" -- kube-proxy --config="$ETC/$1/proxy.yaml"
}

# node_processes NODE: what runs on its network or in its pods. Shims and pods outlive the process that
# started them, so they are found by where they live.
node_processes() {
    {
        ! has_namespace "$1" || ip netns pids "$1"
        cgroup_processes "$1"
    } | sort -un
}

# end_node NODE: everything of it at once, as when its power goes; its disk stays.
end_node() {
    local node=$1 turn pids=()
    for turn in $(seq 100); do
        mapfile -t pids < <(node_processes "$node")
        [ ${#pids[@]} -gt 0 ] || break
        kill -KILL "${pids[@]}" 2>/dev/null || true
        sleep 0.05
    done
    [ ${#pids[@]} -eq 0 ] || fail "processes of $node do not end: ${pids[*]}"
    remove_strays "$node"
    rm -f "$RUN/containerd-$node.pid" "$RUN/kubelet-$node.pid" "$RUN/proxy-$node.pid"
    unmount_below "$RUN/$node"
    unmount_below "$DATA/$node"
    rm -rf "${RUN:?}/$node"
    remove_cgroup "$node"
    remove_namespace "$node"
}

# remove_strays NODE: what runtime and kubelet put outside of the state, wherever they are told to work.
remove_strays() {
    local file socket link
    for file in "$RUN/$1"/containerd/io.containerd.runtime.v2.task/k8s.io/*/bootstrap.json; do
        [ -f "$file" ] || continue
        rm -rf "/run/containerd/runc/k8s.io/$(basename "$(dirname "$file")")"
        socket=$(sed -n 's|.*"address":"unix://\(/[^"]*\)".*|\1|p' "$file")
        [ -z "$socket" ] || rm -f "$socket"
    done
    for link in /var/log/containers/*; do
        if [[ $(readlink "$link") == "$DATA/$1/"* ]]; then rm -f "$link"; fi
    done
}

# unmount_below FOLDER: the deepest first.
unmount_below() {
    local turn mounts=()
    for turn in $(seq 10); do
        mapfile -t mounts < <(awk -v at="$1/" 'index($2, at) == 1 {print $2}' /proc/mounts | sort -r)
        [ ${#mounts[@]} -gt 0 ] || return 0
        umount -l "${mounts[@]}" 2>/dev/null || true
    done
    fail "these mounts do not go: ${mounts[*]}"
}
