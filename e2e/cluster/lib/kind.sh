# The cluster of a machine with Docker: kind's.

KIND_NAME=tandem

has_docker() { command -v docker >/dev/null && timeout 10 docker info >/dev/null 2>&1; }

kind_command() { "$(folder_of kind)/kind" "$@"; }

kind_is_up() { kind_command get clusters 2>/dev/null | grep -x "$KIND_NAME" >/dev/null; }

kind_up() {
    build_missing kind
    mkdir -p "$PKI"
    kind_is_up || kind_command create cluster --name "$KIND_NAME" --wait 180s \
        --config "$HERE/manifests/kind.yaml"
    kind_command export kubeconfig --name "$KIND_NAME" --kubeconfig "$KUBECONFIG_FILE"
}

kind_down() {
    [ ! -x "$(folder_of kind)/kind" ] || ! has_docker || ! kind_is_up ||
        kind_command delete cluster --name "$KIND_NAME" --kubeconfig "$KUBECONFIG_FILE"
}

kind_load() { kind_command load image-archive "$1" --name "$KIND_NAME"; }
