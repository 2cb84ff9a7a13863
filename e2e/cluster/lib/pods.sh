# Finds pods' processes and addresses where the nodes' runtimes keep them, so that it works without an
# API server.

# found_task POD TYPE [CONTAINER]: "NODE PID" of the running task of that type, `container` or `sandbox`.
# Each has a folder with its specification; reading it takes no time, and no runtime that answers.
found_task() {
    local node task file pid
    for node in $(node_names); do
        for task in "$RUN/$node/containerd/io.containerd.runtime.v2.task/k8s.io"/*/; do
            file=$task/config.json
            grep -qsF "\"io.kubernetes.cri.sandbox-name\":\"${1##*/}\"" "$file" &&
                grep -qF "\"io.kubernetes.cri.sandbox-namespace\":\"${1%%/*}\"" "$file" &&
                grep -qF "\"io.kubernetes.cri.container-type\":\"$2\"" "$file" || continue
            [ $# -lt 3 ] || grep -qF "\"io.kubernetes.cri.container-name\":\"$3\"" "$file" || continue
            pid=$(cat "$task/init.pid" 2>/dev/null) && born "$pid" >/dev/null || continue
            printf '%s %s\n' "$node" "$pid"
            return 0
        done
    done
    return 1
}

# pod_container POD CONTAINER: "NODE PID"; POD is NAMESPACE/NAME.
pod_container() { found_task "$1" container "$2"; }

# pod_sandbox POD: "NODE PID" of what holds its network.
pod_sandbox() { found_task "$1" sandbox; }

# pod_volume POD: the folder on this machine that its container has as its data.
pod_volume() {
    local found node file
    found=$(pod_container "$1" "${2:-tandem}") || return 1
    node=${found%% *}
    for file in "$RUN/$node/containerd/io.containerd.runtime.v2.task/k8s.io"/*/config.json; do
        [ "$(cat "${file%/*}/init.pid" 2>/dev/null)" = "${found##* }" ] || continue
        grep -o "\"source\":\"$DATA/$node/volumes/[^\"]*\"" "$file" | head -n 1 | cut -d'"' -f4
        return 0
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
