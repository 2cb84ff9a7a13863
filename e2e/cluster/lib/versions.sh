# The pinned version of each component. A finished build lies in a folder named after it, so a new pin
# builds that component only.

KUBERNETES=v1.36.3
ETCD=v3.7.3
CNI=v1.9.1
CONTAINERD=v2.4.2
RUNC=v1.5.2
COREDNS=v1.15.0
LOCAL_PATH=v0.0.30
PAUSE=v1
BUSYBOX=v1 # the distribution's
HELM=v3.22.0
KWOK=v0.8.0
KIND=v0.33.0

# What a cluster needs; helm, kwok and kind are built when they are asked for.
CLUSTER_COMPONENTS=(kubernetes etcd cni containerd runc coredns local-path pause)

# version_of COMPONENT
version_of() {
    local name=${1^^}
    name=${name//-/_}
    printf '%s\n' "${!name:?no component is called \`$1\`}"
}

# folder_of COMPONENT: where its finished binaries lie.
folder_of() {
    printf '%s/%s-%s\n' "$CACHE" "$1" "$(version_of "$1")"
}
