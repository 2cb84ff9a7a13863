# Certificates and kubeconfigs. All of them are made for one cluster and go with it.

make_identities() {
    [ -f "$PKI/ca.crt" ] || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
        -keyout "$PKI/ca.key" -out "$PKI/ca.crt" -days 3650 -subj /CN=tandem-test-ca \
        -addext keyUsage=critical,keyCertSign,digitalSignature 2>"$LOG/openssl.log"
    if [ ! -f "$PKI/tokens.pub" ]; then
        openssl ecparam -name prime256v1 -genkey -noout -out "$PKI/tokens.key"
        openssl ec -in "$PKI/tokens.key" -pubout -out "$PKI/tokens.pub" 2>>"$LOG/openssl.log"
    fi
    make_certificate apiserver /CN=kube-apiserver \
        "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:localhost,IP:127.0.0.1,IP:$SERVICE_ADDRESS,IP:$HOST_ADDRESS"
    make_certificate admin /O=system:masters/CN=admin DNS:admin
    make_certificate manager /CN=system:kube-controller-manager DNS:manager
    make_certificate scheduler /CN=system:kube-scheduler DNS:scheduler
    make_certificate proxy /CN=system:kube-proxy DNS:proxy
    local name
    for name in admin manager scheduler proxy; do make_kubeconfig "$name"; done
}

# make_node_identity NUMBER: `kubectl logs` and `exec` need the address in the kubelet's certificate.
make_node_identity() {
    make_certificate "node$1" "/O=system:nodes/CN=system:node:node$1" \
        "DNS:node$1,IP:127.0.0.1,IP:$(node_address "$1")"
    make_kubeconfig "node$1"
}

# make_certificate NAME SUBJECT ALTERNATIVE_NAMES
make_certificate() {
    local at=$PKI/$1
    [ ! -f "$at.crt" ] || return 0
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$at.key" -out "$at.csr" \
        -subj "$2" 2>>"$LOG/openssl.log"
    openssl x509 -req -in "$at.csr" -CA "$PKI/ca.crt" -CAkey "$PKI/ca.key" -days 3650 \
        -set_serial "0x$(openssl rand -hex 8)" \
        -extfile <(printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth\nkeyUsage=digitalSignature\n' "$3") \
        -out "$at.part" 2>>"$LOG/openssl.log"
    mv "$at.part" "$at.crt"
}

# make_kubeconfig NAME: with everything in it, so that it can be copied elsewhere.
make_kubeconfig() {
    local at=$PKI/$1
    cat >"$at.kubeconfig" <<YAML
apiVersion: v1
kind: Config
current-context: tandem
contexts:
- name: tandem
  context: {cluster: tandem, user: $1}
clusters:
- name: tandem
  cluster:
    server: https://$HOST_ADDRESS:6443
    certificate-authority-data: $(base64 -w0 "$PKI/ca.crt")
users:
- name: $1
  user:
    client-certificate-data: $(base64 -w0 "$at.crt")
    client-key-data: $(base64 -w0 "$at.key")
YAML
    chmod 600 "$at.kubeconfig"
}
