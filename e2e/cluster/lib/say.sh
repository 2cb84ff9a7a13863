# What a person sees: lines, failures with a remedy, times of steps.

say() { printf '%s\n' "$*"; }

# fail WHAT REMEDY...
fail() {
    printf 'error: %s\n' "$1" >&2
    shift
    [ $# -eq 0 ] || printf '  %s\n' "$@" >&2
    exit 1
}

# timed NAME COMMAND...: runs it and prints how long it took.
timed() {
    # The command sees these, too: no names that it could have.
    local timed_step=$1 timed_begun
    shift
    timed_begun=$(date +%s%N)
    "$@"
    printf '%-26s %6.1f s\n' "$timed_step" "$((($(date +%s%N) - timed_begun) / 100000000))e-1"
}
