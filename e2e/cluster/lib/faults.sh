# The faults. Each notes how it is undone, under a name of its own, before it acts.

FAULTS=$STATE/faults

# note NAME UNDO...: one line of shell words; noted twice is noted once.
note() {
    local name=$1
    shift
    mkdir -p "$FAULTS"
    printf '%q ' "$@" >"$FAULTS/$name"
}

forget() { rm -f "$FAULTS/$1"; }

# did WHAT: with the moment, so that a story can relate it to what clients saw.
did() { printf '%s %s\n' "$(date +%s.%3N)" "$*"; }

# signal_container SIGNAL POD CONTAINER
signal_container() {
    local found
    found=$(pod_container "$2" "$3") || fail "no container $3 of $2 runs on any node"
    kill "-$1" "${found##* }"
    did "SIG$1 to process ${found##* } of $2 on ${found%% *}"
}

fault_pid() {
    local found
    found=$(pod_container "$1" "${2:-tandem}") || fail "no container ${2:-tandem} of $1 runs on any node"
    printf '%s\n' "${found##* }"
}

fault_kill() { signal_container KILL "$1" "${2:-tandem}"; }

fault_stop() {
    note "stop-${1//\//-}-${2:-tandem}" fault_cont "$1" "${2:-tandem}"
    signal_container STOP "$1" "${2:-tandem}"
}

# A container that ended meanwhile has nothing to continue.
fault_cont() {
    local found
    if found=$(pod_container "$1" "${2:-tandem}"); then
        kill -CONT "${found##* }"
        did "SIGCONT to process ${found##* } of $1"
    fi
    forget "stop-${1//\//-}-${2:-tandem}"
}

fault_node_down() {
    need_node "$1"
    note "down-$1" fault_node_up "$1"
    ip link set "t-$1" down
    did "$1 is off the network; its processes go on"
}

fault_node_up() {
    need_node "$1"
    if has_namespace "$1"; then
        ip link set "t-$1" up
        did "$1 is on the network"
    fi
    forget "down-$1"
}

fault_node_kill() {
    need_node "$1"
    note "kill-$1" fault_node_start "$1"
    # The network first: nobody sees a connection end.
    ip link set "t-$1" down 2>/dev/null || true
    did "$1 lost its power"
    end_node "$1"
}

fault_node_start() {
    local number=${1#node}
    need_node "$1"
    if ! is_running "kubelet-$1"; then
        # Addresses that pods had before: their network went with the power.
        rm -rf "${DATA:?}/$1/addresses"
        boot_node "$number"
        serve_node "$number"
        did "$1 starts"
    fi
    forget "kill-$1"
}

fault_kubelet_stop() {
    need_node "$1"
    note "kubelet-$1" fault_kubelet_start "$1"
    stop "kubelet-$1"
    did "the kubelet of $1 is stopped; its pods go on"
}

fault_kubelet_start() {
    need_node "$1"
    # A node without power gets its kubelet by node-start.
    if has_namespace "$1"; then
        launch "kubelet-$1"
        did "the kubelet of $1 starts"
    fi
    forget "kubelet-$1"
}

fault_runtime_stop() {
    need_node "$1"
    note "runtime-$1" fault_runtime_start "$1"
    stop "containerd-$1"
    did "containerd of $1 is stopped; its pods go on"
}

fault_runtime_start() {
    need_node "$1"
    if has_namespace "$1"; then
        launch "containerd-$1"
        did "containerd of $1 starts"
    fi
    forget "runtime-$1"
}

fault_apiserver_stop() {
    note apiserver fault_apiserver_start
    stop apiserver
    did "the API server is stopped"
}

# The controller manager and the scheduler end when they lose it for long.
fault_apiserver_start() {
    launch apiserver
    wait_for_api
    launch manager
    launch scheduler
    did "the API server is ready"
    forget apiserver
}

fault_etcd_pause() {
    note etcd fault_etcd_resume
    kill -STOP "$(pid_of etcd)"
    did "etcd is stopped in its tracks"
}

fault_etcd_resume() {
    kill -CONT "$(pid_of etcd)"
    did "etcd goes on"
    forget etcd
}

# fault_cut FROM TO [one-way]: packets from one end to the other are dropped on every node, where they
# leave it and where they end. Addresses of services are resolved before that.
fault_cut() {
    local from to
    from=$(address_of "$1")
    to=$(address_of "$2")
    drop_packets "$from" "$to"
    if [ "${3:-}" = one-way ]; then
        did "cut: $1 ($from) to $2 ($to)"
    else
        drop_packets "$to" "$from"
        did "cut: $1 ($from) and $2 ($to), both ways"
    fi
}

drop_packets() {
    local node chain
    note "cut-$1-$2" pass_packets "$1" "$2"
    for node in $(nodes_with_network); do
        for chain in POSTROUTING INPUT; do
            inside "$node" iptables -w 5 -t mangle -C "$chain" -s "$1" -d "$2" -j DROP 2>/dev/null ||
                inside "$node" iptables -w 5 -t mangle -A "$chain" -s "$1" -d "$2" -j DROP
        done
    done
}

pass_packets() {
    local node chain
    for node in $(nodes_with_network); do
        for chain in POSTROUTING INPUT; do
            while inside "$node" iptables -w 5 -t mangle -D "$chain" -s "$1" -d "$2" -j DROP 2>/dev/null; do :; done
        done
    done
    forget "cut-$1-$2"
}

# fault_heal FROM TO: both ways. A pod that is gone is named by its address.
fault_heal() {
    local from to
    from=$(address_of "$1")
    to=$(address_of "$2")
    pass_packets "$from" "$to"
    pass_packets "$to" "$from"
    did "healed: $1 ($from) and $2 ($to)"
}

# fault_delay POD MILLISECONDS [LOSS_PERCENT]: of what goes to the pod.
fault_delay() {
    local sandbox address link
    sandbox=$(pod_sandbox "$1") || fail "no pod $1 runs on any node"
    address=$(address_of "$1")
    link=$(inside "${sandbox%% *}" ip -4 -o route get "$address" | sed -n 's/.* dev \([^ ]*\).*/\1/p')
    if [ "$2" = 0 ] && [ -z "${3:-}" ]; then
        undelay "${1//\//-}" "${sandbox%% *}" "$link"
        did "no delay for $1"
        return
    fi
    note "delay-${1//\//-}" undelay "${1//\//-}" "${sandbox%% *}" "$link"
    if ! inside "${sandbox%% *}" tc qdisc replace dev "$link" root netem delay "${2}ms" ${3:+loss "$3%"}; then
        forget "delay-${1//\//-}"
        fail "packets to $1 cannot be delayed" "the kernel has to have netem (module sch_netem)"
    fi
    did "packets to $1 take $2 ms longer${3:+, $3% of them are lost}"
}

undelay() {
    inside "$2" tc qdisc del dev "$3" root 2>/dev/null || true
    forget "delay-$1"
}

# fault_volume_small POD MEGABYTES: from here on the pod's volume is a file system of that size, with
# what was in it. The kubelet starts the container again, which is how it comes to see that.
fault_volume_small() {
    local found folder node
    found=$(pod_container "$1" tandem) || fail "no container tandem of $1 runs on any node"
    node=${found%% *}
    folder=$(pod_volume "$1") && [ -d "$folder" ] || fail "$1 has no volume"
    [ ! -d "$folder.small" ] || fail "the volume of $1 is small already"
    note "volume-${1//\//-}" make_volume_normal "$1" "$node" "$folder"
    kill -STOP "${found##* }"
    mkdir "$folder.small"
    mounts_of "$node" mount -t tmpfs -o "size=${2}m" tandem-volume "$folder.small"
    mounts_of "$node" cp -a "$folder/." "$folder.small/"
    mounts_of "$node" mount --bind "$folder.small" "$folder"
    kill -KILL "${found##* }"
    did "the volume of $1 on $node holds $2 MB; its container starts again"
}

# fault_volume_grow POD MEGABYTES: while it is used.
fault_volume_grow() {
    local folder node
    folder=$(pod_volume "$1") && [ -d "$folder.small" ] || fail "the volume of $1 is not small" "volume-small makes it so"
    node=$(pod_container "$1" tandem)
    node=${node%% *}
    mounts_of "$node" mount -o "remount,size=${2}m" "$folder.small"
    did "the volume of $1 on $node holds $2 MB"
}

fault_volume_normal() {
    local file=$FAULTS/volume-${1//\//-} words
    [ -f "$file" ] || fail "the volume of $1 is not small"
    eval "words=($(cat "$file"))"
    "${words[@]}"
    did "the volume of $1 is a folder again"
}

# make_volume_normal POD NODE FOLDER: what was written stays; a running container starts again.
make_volume_normal() {
    local found pid=
    if [ -d "$3.small" ]; then
        if found=$(pod_container "$1" tandem) && [ "$(pod_volume "$1")" = "$3" ]; then
            pid=${found##* }
            kill -STOP "$pid"
        fi
        mounts_of "$2" umount "$3" 2>/dev/null || mounts_of "$2" umount -l "$3" 2>/dev/null || true
        if [ -d "$3" ]; then
            find "$3" -mindepth 1 -delete
            mounts_of "$2" cp -a "$3.small/." "$3/"
        fi
        mounts_of "$2" umount -l "$3.small" 2>/dev/null || true
        rmdir "$3.small"
        [ -z "$pid" ] || kill -KILL "$pid"
    fi
    forget "volume-${1//\//-}"
}

# mounts_of NODE COMMAND...: runs it where the node's runtime sees its files.
mounts_of() {
    local pid
    if pid=$(pid_of "containerd-$1"); then
        nsenter --mount="/proc/$pid/ns/mnt" -- "${@:2}"
    else
        "${@:2}"
    fi
}

# fault_door POD [PORT]: prints a port of this machine's loopback through which clients are on the pod's
# own node, whatever network that node still has.
fault_door() {
    local sandbox node address port=${2:-6379} number name log
    sandbox=$(pod_sandbox "$1") || fail "no pod $1 runs on any node"
    node=${sandbox%% *}
    address=$(address_of "$1")
    name=door-${1//\//-}-$port
    log=$LOG/$name.log
    note "$name" close_door "$name"
    : >"$log"
    start "$name" socat -d -d "TCP-LISTEN:0,bind=127.0.0.1,fork,reuseaddr,backlog=64" \
        "EXEC:nsenter --net=/run/netns/$node -- socat STDIO TCP\:$address\:$port\,nodelay"
    wait_until "the door to $1 listens" "$name" 10 grep -q "listening on" "$log"
    number=$(sed -n 's/.*listening on .*:\([0-9]*\)$/\1/p' "$log" | head -n 1)
    [ -n "$number" ] || fail "the door to $1 tells no port" "its log is $log"
    printf '%s\n' "$number"
}

close_door() {
    stop "$1"
    rm -f "$RUN/$1.pid" "$RUN/$1.start"
    forget "$1"
}

fault_heal_all() {
    local file words
    # Power and networks first: the rest may need them.
    for file in "$FAULTS"/etcd "$FAULTS"/apiserver "$FAULTS"/kill-* "$FAULTS"/down-* "$FAULTS"/*; do
        [ -f "$file" ] || continue
        eval "words=($(cat "$file"))"
        "${words[@]}"
        rm -f "$file"
    done
    did "everything is healed"
}

nodes_with_network() {
    local node
    for node in $(node_names) "$GATEWAY"; do
        ! has_namespace "$node" || printf '%s\n' "$node"
    done
}

need_node() {
    node_names | grep -x -- "${1:-}" >/dev/null || fail "there is no node \`${1:-}\`" "the nodes are: $(node_names | tr '\n' ' ')"
}
