# A cluster that somebody else made.

given_kubectl() {
    if command -v kubectl >/dev/null; then
        kubectl "$@"
    else
        build_missing kubernetes >&2
        "$(folder_of kubernetes)/kubectl" "$@"
    fi
}

given_up() {
    given_kubectl get --raw /readyz --request-timeout=10s >/dev/null ||
        fail "the cluster of KUBECONFIG=$KUBECONFIG does not answer" \
            "unset KUBECONFIG to have a cluster made here"
}

# given_load ARCHIVE: where the nodes can be told from here.
given_load() {
    local context
    context=$(given_kubectl config current-context)
    case $context in
        kind-*)
            build_missing kind >&2
            kind_command load image-archive "$1" --name "${context#kind-}"
            ;;
        k3d-*) k3d image import "$1" --cluster "${context#k3d-}" ;;
        minikube) minikube image load "$1" ;;
        *) say "nodes of $context cannot be told from here: have them pull the image, or import $1 on each" ;;
    esac
}
