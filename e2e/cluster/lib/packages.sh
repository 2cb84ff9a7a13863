# Packages of the distribution.

# need_packages NAME...: installs the missing ones, where the distribution is a Debian.
need_packages() {
    local name missing=() present
    present=" $(dpkg-query -W -f '${db:Status-Status}:${Package} ' "$@" 2>/dev/null || true)"
    for name in "$@"; do
        [[ $present == *" installed:$name "* ]] || missing+=("$name")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null ||
        fail "packages are missing: ${missing[*]}" "install them by the means of your distribution"
    say "installing ${missing[*]}"
    local log
    log=$(mktemp)
    if ! { apt-get update -qq &&
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        fail "the packages could not be installed: ${missing[*]}"
    fi
    rm -f "$log"
}
