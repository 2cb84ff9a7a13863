# Writes OCI image archives with nothing but tar and sha256sum.

# write_archive NAME:TAG FOLDER OUT CONFIG: one layer, the content of FOLDER; CONFIG is what the image
# says of user, entry point and so on, as JSON.
write_archive() {
    local name=$1 folder=$2 out=$3 said=$4 work layer config manifest
    # The full name, as the runtime looks it up.
    [[ $name == */* ]] || name=docker.io/library/$name
    work=$(mktemp -d)
    mkdir -p "$work/blobs/sha256"
    tar --create --file "$work/layer" --directory "$folder" --sort=name --mtime=@0 --numeric-owner \
        --owner=0 --group=0 .
    layer=$(put_blob "$work" "$work/layer")
    cat >"$work/config" <<JSON
{"architecture": "$(oci_architecture)", "os": "linux",
 "config": $said,
 "rootfs": {"type": "layers", "diff_ids": ["sha256:${layer%% *}"]},
 "history": [{"created_by": "e2e/cluster"}]}
JSON
    config=$(put_blob "$work" "$work/config")
    cat >"$work/manifest" <<JSON
{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
 "config": $(descriptor application/vnd.oci.image.config.v1+json $config),
 "layers": [$(descriptor application/vnd.oci.image.layer.v1.tar $layer)]}
JSON
    manifest=$(put_blob "$work" "$work/manifest")
    manifest=$(descriptor application/vnd.oci.image.manifest.v1+json $manifest)
    cat >"$work/index.json" <<JSON
{"schemaVersion": 2, "manifests": [${manifest%\}},
 "annotations": {"io.containerd.image.name": "$name", "org.opencontainers.image.ref.name": "$name"}}]}
JSON
    printf '{"imageLayoutVersion": "1.0.0"}\n' >"$work/oci-layout"
    tar --create --file "$out.part" --directory "$work" --sort=name --mtime=@0 oci-layout index.json blobs
    mv "$out.part" "$out"
    rm -rf "$work"
}

# put_blob WORK FILE: moves it to its place; prints its digest and size.
put_blob() {
    local digest size
    digest=$(sha256sum "$2" | cut -d' ' -f1)
    size=$(stat -c %s "$2")
    mv "$2" "$1/blobs/sha256/$digest"
    printf '%s %s\n' "$digest" "$size"
}

# descriptor TYPE DIGEST SIZE
descriptor() {
    printf '{"mediaType": "%s", "digest": "sha256:%s", "size": %s}' "$@"
}

oci_architecture() {
    case $(uname -m) in
        x86_64) echo amd64 ;;
        aarch64) echo arm64 ;;
        *) uname -m ;;
    esac
}
