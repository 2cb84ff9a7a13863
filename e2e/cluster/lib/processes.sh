# Long-running processes: started in sessions of their own, recorded with their moment of birth, so
# that a reused number is never taken for one of them.

# born PID: the start time of a process that lives (a zombie does not).
born() {
    local stat rest
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
    rest=${stat##*) } # the name may hold blanks
    # shellcheck disable=SC2086
    set -- $rest
    [ "$1" != Z ] && [ "$1" != X ] && printf '%s\n' "${20}"
}

# start NAME COMMAND...: also keeps the command, for `launch` after a stop.
start() {
    local name=$1
    shift
    { printf 'exec'; printf ' %q' "$@"; printf '\n'; } >"$RUN/$name.start"
    launch "$name"
}

# launch NAME: starts it again as it was started.
launch() {
    local name=$1
    ! is_running "$name" || return 0
    setsid bash "$RUN/$name.start" >>"$LOG/$name.log" 2>&1 </dev/null 8>&- 9>&- &
    printf '%s %s\n' "$!" "$(born $! || true)" >"$RUN/$name.pid"
}

# pid_of NAME: the number of a recorded process that still is that process.
pid_of() {
    local pid birth
    { read -r pid birth <"$RUN/$1.pid"; } 2>/dev/null || return 1
    [ -n "$birth" ] && [ "$(born "$pid")" = "$birth" ] && printf '%s\n' "$pid"
}

is_running() { pid_of "$1" >/dev/null; }

# stop NAME...: at once, and gone when it returns.
stop() {
    local name pid
    for name in "$@"; do
        pid=$(pid_of "$name") || continue
        kill -KILL "$pid" 2>/dev/null || true
        # a stopped process takes the signal, too
        wait_for_end "$pid" || fail "$name (process $pid) does not end" "look at /proc/$pid/stack"
    done
}

wait_for_end() {
    local turn
    for turn in $(seq 200); do
        born "$1" >/dev/null || return 0
        sleep 0.05
    done
    return 1
}

# recorded: the names of all processes of this cluster.
recorded() {
    local file
    for file in "$RUN"/*.pid; do
        [ -f "$file" ] && basename "$file" .pid
    done
    return 0
}
