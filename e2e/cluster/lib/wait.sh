# Waiting for a condition, with a deadline and the reason when it does not come.

# wait_until WHAT PROCESS SECONDS COMMAND...: the process is the one that has to bring it about; its
# death ends the waiting, its log is shown. `-` when there is none.
wait_until() {
    local what=$1 process=$2 seconds=$3 deadline said=$LOG/last-check.$BASHPID
    shift 3
    deadline=$((SECONDS + seconds))
    until "$@" >"$said" 2>&1; do
        if [ "$process" != - ] && ! is_running "$process"; then
            tail -n 20 "$LOG/$process.log" >&2 || true
            fail "$process ended before: $what" "its log is $LOG/$process.log"
        fi
        if [ "$SECONDS" -ge "$deadline" ]; then
            { echo "the last check said:"; tail -n 10 "$said"; } >&2
            [ "$process" = - ] || tail -n 20 "$LOG/$process.log" >&2
            fail "after $seconds s still not: $what" "the logs are in $LOG"
        fi
        sleep 0.1
    done
    rm -f "$said"
}
