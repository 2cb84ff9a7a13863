# What makes nodes a cluster: images of the parts that run in pods, name resolution, volumes.

# image_archives: where the archives of these parts are, each kept beside its program.
image_archives() {
    printf '%s/image.tar\n' "$(folder_of pause)" "$(folder_of coredns)" "$(folder_of local-path)" "$(folder_of busybox)"
}

make_images() {
    local name
    mkdir -p "$(folder_of busybox)"
    make_image busybox busybox "$(command -v busybox)"
    for name in pause:pause coredns:coredns local-path:local-path-provisioner; do
        make_image "${name%%:*}" "${name##*:}" "$(folder_of "${name%%:*}")/${name##*:}"
    done
}

# make_image COMPONENT NAME PROGRAM: holds that program; busybox has all the names that it answers to.
make_image() {
    local name=$2 program=$3 out folder applet
    out=$(folder_of "$1")/image.tar
    [ ! -f "$out" ] || return 0
    folder=$(mktemp -d)
    mkdir -p "$folder/bin"
    install -m 755 "$program" "$folder/bin/$name"
    if [ "$name" = busybox ]; then
        mkdir -p -m 1777 "$folder/tmp"
        for applet in $("$program" --list); do
            [ "$applet" = busybox ] || ln -sf busybox "$folder/bin/$applet"
        done
        write_archive localhost/busybox:1 "$folder" "$out" '{"Cmd": ["/bin/sh"], "Env": ["PATH=/bin"]}'
    else
        write_archive "localhost/$name:1" "$folder" "$out" "{\"Entrypoint\": [\"/bin/$name\"]}"
    fi
    rm -rf "$folder"
}

# volume_folders: all nodes share one file system, so each gets a folder of its own.
volume_folders() {
    local node separator=
    for node in $(node_names); do
        printf '%s{"node": "%s", "paths": ["%s/%s/volumes"]}' "$separator" "$node" "$DATA" "$node"
        separator=', '
    done
}

apply_addons() {
    sed "s|@DNS_ADDRESS@|$DNS_ADDRESS|" "$HERE/manifests/coredns.yaml" | kube apply -f - >/dev/null
    sed "s|@VOLUME_FOLDERS@|$(volume_folders)|" "$HERE/manifests/storage.yaml" | kube apply -f - >/dev/null
}

all_nodes_are_ready() {
    local ready
    ready=$(kube get nodes -o 'jsonpath={range .items[*]}{.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}' |
        grep -c True) || true
    [ "$ready" = "$NODES" ] || { kube get nodes; return 1; }
}

# is_available DEPLOYMENT
is_available() {
    kube --namespace kube-system rollout status "deployment/$1" --timeout=1s
}
