# A folder in the cgroup tree for each node: its pods live below it.

CGROUPS=/sys/fs/cgroup

is_unified() { [ -f "$CGROUPS/cgroup.controllers" ]; }

# hierarchies: the roots that need such a folder.
hierarchies() {
    if is_unified; then
        printf '%s\n' "$CGROUPS"
    else
        local root
        for root in "$CGROUPS"/*/; do printf '%s\n' "${root%/}"; done
    fi
}

check_cgroups() {
    is_unified || [ -d "$CGROUPS/memory" ] ||
        fail "there are no cgroups below $CGROUPS" "run it on a machine, or in a container with --privileged --cgroupns=host"
}

# make_cgroup NODE: a new cpuset is empty in version 1, and nothing can be put into one that is.
make_cgroup() {
    local root file
    for root in $(hierarchies); do
        mkdir -p "$root/$1"
        for file in cpuset.cpus cpuset.mems; do
            if [ -f "$root/$file" ]; then cat "$root/$file" >"$root/$1/$file"; fi
        done
    done
    if is_unified; then
        for file in cpu cpuset io memory pids; do
            echo "+$file" >"$CGROUPS/cgroup.subtree_control" 2>/dev/null || true
        done
    fi
}

# cgroup_processes NODE: everything that its pods run.
cgroup_processes() {
    local root
    for root in $(hierarchies); do
        [ ! -d "$root/$1" ] || find "$root/$1" -name cgroup.procs -exec cat {} + 2>/dev/null
    done | sort -un
}

# remove_cgroup NODE: folders can be removed when nothing runs in them any more.
remove_cgroup() {
    local root
    for root in $(hierarchies); do
        [ ! -d "$root/$1" ] || find "$root/$1" -depth -type d -exec rmdir {} + 2>/dev/null || true
    done
}
