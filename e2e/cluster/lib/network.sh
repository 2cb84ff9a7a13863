# One bridge on the host and a network namespace for each node. Pods are routed, not bridged: each hangs
# on a point-to-point link of its node, so that the node's packet filter sees every packet of a pod.

# inside NODE COMMAND...: only the network is entered. `ip netns exec` would mount a /sys without cgroups.
inside() {
    local node=$1
    shift
    nsenter --net="/run/netns/$node" -- "$@"
}

has_namespace() { [ -e "/run/netns/$1" ]; }

make_bridge() {
    if ! ip link show "$BRIDGE" >/dev/null 2>&1; then
        ip link add "$BRIDGE" type bridge
        ip addr add "$HOST_ADDRESS/24" dev "$BRIDGE"
    fi
    ip link set "$BRIDGE" up
    # What was set before is kept for `down`.
    [ -f "$RUN/ip_forward" ] || sysctl -n net.ipv4.ip_forward >"$RUN/ip_forward"
    sysctl -qw net.ipv4.ip_forward=1
    # Where bridged packets pass the host's filter and that drops by default, as Docker has it.
    if iptables -S FORWARD 2>/dev/null | grep -x -- '-P FORWARD DROP' >/dev/null &&
        ! iptables -C FORWARD -i "$BRIDGE" -j ACCEPT 2>/dev/null; then
        iptables -I FORWARD -i "$BRIDGE" -j ACCEPT
    fi
}

# make_namespace NAME ADDRESS: joined to the bridge, with the host as its way out.
make_namespace() {
    local name=$1 address=$2 link=t-$1
    has_namespace "$name" || ip netns add "$name"
    if ! ip link show "$link" >/dev/null 2>&1; then
        ip link add "$link" type veth peer name eth0 netns "$name"
        ip link set "$link" master "$BRIDGE"
        ip -n "$name" addr add "$address/24" dev eth0
    fi
    ip link set "$link" up
    ip -n "$name" link set lo up
    ip -n "$name" link set eth0 up
    ip -n "$name" route replace default via "$HOST_ADDRESS"
    inside "$name" sysctl -qw net.ipv4.ip_forward=1
}

# make_node_network NUMBER: the other nodes' pods are reached through those nodes, from the host as well.
make_node_network() {
    local number=$1 other
    make_namespace "node$number" "$(node_address "$number")"
    ip route replace "$(node_pods "$number")" via "$(node_address "$number")"
    for other in $(seq "$NODES"); do
        [ "$other" = "$number" ] ||
            ip -n "node$number" route replace "$(node_pods "$other")" via "$(node_address "$other")"
    done
}

# The host reaches ClusterIPs through a namespace that is no node, has a kube-proxy of its own, and stays
# when nodes fall. A source outside the pods' network is masqueraded, so answers come back this way.
make_gateway_network() {
    local number
    make_namespace "$GATEWAY" "$GATEWAY_ADDRESS"
    for number in $(seq "$NODES"); do
        ip -n "$GATEWAY" route replace "$(node_pods "$number")" via "$(node_address "$number")"
    done
    ip route replace "$SERVICE_NETWORK" via "$GATEWAY_ADDRESS"
}

# remove_namespace NAME: its link goes with it.
remove_namespace() {
    ip link del "t-$1" 2>/dev/null || true
    ! has_namespace "$1" || ip netns del "$1"
}

remove_network() {
    local number
    for number in $(seq "$NODES"); do
        remove_namespace "node$number"
        ip route del "$(node_pods "$number")" 2>/dev/null || true
    done
    ip route del "$SERVICE_NETWORK" 2>/dev/null || true
    remove_namespace "$GATEWAY"
    while iptables -D FORWARD -i "$BRIDGE" -j ACCEPT 2>/dev/null; do :; done
    ip link del "$BRIDGE" 2>/dev/null || true
    if [ -f "$RUN/ip_forward" ]; then
        sysctl -qw net.ipv4.ip_forward="$(cat "$RUN/ip_forward")"
    fi
}
