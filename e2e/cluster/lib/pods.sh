# Finds pods' processes and addresses through the nodes' runtimes, so that it works without an API server.

# pod_container POD CONTAINER: "NODE ID PID" of the running container; POD is NAMESPACE/NAME.
pod_container() {
    local node filter id pid
    filter="labels.\"io.kubernetes.pod.namespace\"==${1%%/*},labels.\"io.kubernetes.pod.name\"==${1##*/}"
    filter+=",labels.\"io.kubernetes.container.name\"==$2"
    for node in $(node_names); do
        [ -S "$(node_socket "$node")" ] || continue
        for id in $(runtime "$node" containers ls -q "$filter" 2>/dev/null); do
            pid=$(runtime "$node" tasks ls 2>/dev/null |
                awk -v id="$id" '$1 == id && ($3 == "RUNNING" || $3 == "PAUSED") {print $2}')
            [ -z "$pid" ] || { printf '%s %s %s\n' "$node" "$id" "$pid"; return 0; }
        done
    done
    return 1
}

# pod_sandbox POD: "NODE PID" of what holds its network.
pod_sandbox() {
    local node filter id pid
    filter="labels.\"io.kubernetes.pod.namespace\"==${1%%/*},labels.\"io.kubernetes.pod.name\"==${1##*/}"
    filter+=',labels."io.cri-containerd.kind"==sandbox'
    for node in $(node_names); do
        [ -S "$(node_socket "$node")" ] || continue
        for id in $(runtime "$node" containers ls -q "$filter" 2>/dev/null); do
            pid=$(runtime "$node" tasks ls 2>/dev/null | awk -v id="$id" '$1 == id && $3 == "RUNNING" {print $2}')
            [ -z "$pid" ] || { printf '%s %s\n' "$node" "$pid"; return 0; }
        done
    done
    return 1
}

# address_of END: an address as it is, `control-plane`, a node's name, or NAMESPACE/POD.
address_of() {
    local sandbox address
    case $1 in
        control-plane | host) printf '%s\n' "$HOST_ADDRESS" ;;
        "$GATEWAY") printf '%s\n' "$GATEWAY_ADDRESS" ;;
        node[1-9]*) node_address "${1#node}" ;;
        */*)
            sandbox=$(pod_sandbox "$1") || fail "no pod $1 runs on any node"
            address=$(nsenter --net="/proc/${sandbox##* }/ns/net" -- ip -4 -o addr show dev eth0 |
                awk '{sub("/.*", "", $4); print $4}')
            [ -n "$address" ] || fail "the pod $1 has no address"
            printf '%s\n' "$address"
            ;;
        *.*.*.*) printf '%s\n' "$1" ;;
        *) fail "\`$1\` is no end of a connection" "give NAMESPACE/POD, nodeN, control-plane, gateway or an address" ;;
    esac
}
