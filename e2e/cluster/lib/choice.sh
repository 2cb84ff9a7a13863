# Which cluster it is: the one that KUBECONFIG names, kind where Docker answers, the built-in one
# otherwise. TANDEM_CLUSTER_WITH says `given`, `kind` or `built-in` to have it decided.

choose() {
    if [ -n "${TANDEM_CLUSTER_WITH:-}" ]; then
        printf '%s\n' "$TANDEM_CLUSTER_WITH"
    elif [ -f "$STATE/choice" ]; then
        # KUBECONFIG may be the one that `up` printed.
        if is_foreign_kubeconfig; then echo given; else cat "$STATE/choice"; fi
    elif is_foreign_kubeconfig; then
        echo given
    elif has_docker; then
        echo kind
    else
        echo built-in
    fi
}

is_foreign_kubeconfig() { [ -n "${KUBECONFIG:-}" ] && [ "$KUBECONFIG" != "$KUBECONFIG_FILE" ]; }

# need_built_in WHAT
need_built_in() {
    [ "$(choose)" = built-in ] ||
        fail "$1 is only possible on the built-in cluster" "unset KUBECONFIG and say TANDEM_CLUSTER_WITH=built-in"
    [ -f "$KUBECONFIG_FILE" ] || fail "there is no cluster" "start it with e2e/cluster/up"
}
