# Builds components from their published Go modules, each once.

# build_missing COMPONENT...: one builder at a time, also across checkouts.
build_missing() {
    local component missing=()
    for component in "$@"; do
        [ -d "$(folder_of "$component")" ] || missing+=("$component")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v go >/dev/null ||
        fail "the binaries of Kubernetes have to be built, and there is no \`go\`" \
            "install Go 1.26 or newer, or set KUBECONFIG to a cluster that you have"
    [[ " ${missing[*]} " != *" runc "* ]] || need_packages libseccomp-dev pkg-config gcc
    mkdir -p "$CACHE"
    (
        flock 9
        for component in "${missing[@]}"; do
            [ -d "$(folder_of "$component")" ] || timed "build $component" build_one "$component"
        done
    ) 9>"$CACHE/lock"
}

# build_one COMPONENT: the folder appears when all of it is there.
build_one() {
    local component=$1 folder work log version
    folder=$(folder_of "$component")
    version=$(version_of "$component")
    work=$CACHE/work/$component
    log=$CACHE/work/$component.log
    rm -rf "$work"
    mkdir -p "$work/bin" "$work/module"
    if ! (
        cd "$work/module"
        export GOFLAGS=-buildvcs=false
        "build_${component//-/_}" "$version" "$work/bin"
    ) >"$log" 2>&1; then
        tail -n 30 "$log" >&2
        fail "$component $version could not be built" "the whole output is in $log"
    fi
    mv "$work/bin" "$folder"
    rm -rf "$work"
}

# compile OUT PACKAGE...: `CGO` and `TAGS` as in the environment. OUT ends in / for a folder.
compile() {
    local out=$1
    shift
    CGO_ENABLED=${CGO:-0} go build -mod=mod -trimpath -tags "${TAGS:-}" \
        -ldflags "-s -w ${SETTINGS:-}" -o "$out" "$@"
}

# require MODULE VERSION: an empty module that depends on it.
require() {
    go mod init local.invalid/build
    go get "$1@$2"
}

# k8s.io/kubernetes points its k8s.io/* requirements at folders of its own repository. A module that
# requires it has to point each at the published module of the same minor version: v1.36.3 is v0.36.3.
build_kubernetes() {
    local version=$1 out=$2 source staged module minor
    staged=${version/v1./v0.}
    minor=$(cut -d. -f2 <<<"$version")
    source=$(go mod download -json "k8s.io/kubernetes@$version" |
        sed -n 's/^[[:space:]]*"Dir": "\(.*\)",$/\1/p')
    [ -d "$source" ] || { echo "no source of k8s.io/kubernetes@$version"; return 1; }
    {
        printf 'module local.invalid/build\n\n'
        grep -E '^go [0-9]' "$source/go.mod"
        printf '\nrequire k8s.io/kubernetes %s\n' "$version"
        grep -oE '^[[:space:]]+k8s\.io/[a-z0-9-]+ => \./staging' "$source/go.mod" |
            while read -r module _; do
                printf 'replace %s => %s %s\n' "$module" "$module" "$staged"
            done
    } >go.mod
    local at=k8s.io/component-base/version
    SETTINGS="-X $at.gitVersion=$version -X $at.gitMajor=1 -X $at.gitMinor=$minor" compile "$out/" \
        k8s.io/kubernetes/cmd/{kube-apiserver,kube-controller-manager,kube-scheduler,kubelet,kube-proxy,kubectl}
}

build_etcd() {
    require go.etcd.io/etcd/server/v3 "$1"
    compile "$2/etcd" go.etcd.io/etcd/server/v3
}

build_cni() {
    local module=github.com/containernetworking/plugins
    require $module "$1"
    compile "$2/" $module/plugins/{main/ptp,main/loopback,ipam/host-local,meta/portmap}
}

build_containerd() {
    local module=github.com/containerd/containerd/v2
    require $module "$1"
    compile "$2/" $module/cmd/{containerd,containerd-shim-runc-v2,ctr}
}

# Without seccomp no sandbox starts.
build_runc() {
    require github.com/opencontainers/runc "$1"
    CGO=1 TAGS=seccomp compile "$2/" github.com/opencontainers/runc
}

build_coredns() {
    require github.com/coredns/coredns "$1"
    compile "$2/" github.com/coredns/coredns
}

build_local_path() {
    require github.com/rancher/local-path-provisioner "$1"
    compile "$2/" github.com/rancher/local-path-provisioner
}

build_helm() {
    require helm.sh/helm/v3 "$1"
    compile "$2/" helm.sh/helm/v3/cmd/helm
}

build_kwok() {
    require sigs.k8s.io/kwok "$1"
    compile "$2/" sigs.k8s.io/kwok/cmd/kwok
}

build_kind() {
    require sigs.k8s.io/kind "$1"
    compile "$2/" sigs.k8s.io/kind
}

# What holds a pod's namespaces: it waits, and reaps nothing as it has no children.
build_pause() {
    go mod init local.invalid/build
    cat >main.go <<'GO'
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGINT, syscall.SIGTERM)
	<-ended
}
GO
    compile "$2/pause" .
}
