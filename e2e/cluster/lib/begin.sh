# Loads all parts; what every program of this folder begins with.

for part in settings versions say packages build processes wait choice kind identities network cgroups \
    archive addons control_plane node given; do
    # shellcheck source=/dev/null
    source "$HERE/lib/$part.sh"
done
PATH=$PATH:/usr/sbin:/sbin

# use_components: the cluster's own programs come first.
use_components() {
    local component
    for component in "${CLUSTER_COMPONENTS[@]}"; do PATH=$(folder_of "$component"):$PATH; done
}

need_root() {
    [ "$(id -u)" = 0 ] ||
        fail "the built-in cluster makes network namespaces, cgroups and mounts, which needs root" \
            "run it with sudo, or set KUBECONFIG to a cluster that you have"
}

# alone COMMAND...: one program changes the cluster at a time.
alone() {
    exec 8>"$STATE.lock"
    flock -w 1200 8 || fail "another program has held the cluster for 20 minutes" "its lock is $STATE.lock"
    "$@"
}
