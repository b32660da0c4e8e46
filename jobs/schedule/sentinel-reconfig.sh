#!/bin/sh
# Starts `auditor run` as soon as Sentinel has promoted a replica, instead of up to a minute later. In sentinel.conf
# of every Sentinel of the group, and the script with execute permission on each of their hosts:
#
#     sentinel client-reconfig-script mymaster /usr/local/lib/auditor/sentinel-reconfig.sh
#
# Sentinel calls it, on every Sentinel, with
#     <master-name> <leader|observer> <state> <from-ip> <from-port> <to-ip> <to-port>
# waits for it, and kills it after 60 s. So only the leader's call acts, it starts the run in a session of its own and
# returns at once; the run waits by itself until the old master has stopped. The exit code is always 0: with 1
# Sentinel would call again. A failover is handled once, whatever calls `run`: a lease keeps two apart, and the second
# finds nothing left to do. So keep cron, the timer or the CronJob as well: this call is lost with its Sentinel.
#
# Settings, from Sentinel's environment:
#   AUDITOR_START    process (the default): `auditor run` on this host, as Sentinel's user and with its environment, which
#                    must hold what the job file asks for (CREDENTIALS_DIRECTORY)
#                    systemd: auditor-run@MASTER.service, which Sentinel's user may start by a polkit rule. Prefer it where
#                    Sentinel is a unit itself: what it starts would share its sandbox and end with it
#                    kubernetes: a Job from the CronJob, with Sentinel's service account
#   AUDITOR_JOBS     the folder of the job files (/etc/auditor); MASTER.toml is this master's, a link will do
#   AUDITOR_OUTPUT   where reports go (/var/lib/auditor/output)
#   AUDITOR_CRONJOB  for kubernetes: the CronJob (auditor-run)
#   AUDITOR_LOG      what was started and how it ended (/var/log/auditor/sentinel-reconfig.log)
set -u
: "${AUDITOR_START:=process}"
: "${AUDITOR_JOBS:=/etc/auditor}"
: "${AUDITOR_OUTPUT:=/var/lib/auditor/output}"
: "${AUDITOR_CRONJOB:=auditor-run}"
: "${AUDITOR_LOG:=/var/log/auditor/sentinel-reconfig.log}"

# Without a place for the log the run is started all the same.
(: >>"$AUDITOR_LOG") 2>/dev/null || AUDITOR_LOG=/dev/null

say() { printf '%s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$*" >>"$AUDITOR_LOG"; }

# Runs the arguments without anything of Sentinel's: its terminal, its output, its sockets, its session.
detached() {
    (
        exec </dev/null >>"$AUDITOR_LOG" 2>&1 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
        trap '' HUP
        if command -v setsid >/dev/null 2>&1; then
            set -- setsid "$@"
        fi
        "$@" &
    )
}

if [ $# -ne 7 ]; then
    say "called with $# arguments instead of Sentinel's 7; nothing is started"
    exit 0
fi
master=$1
[ "$2" = leader ] || exit 0
say "master $master moved from $4:$5 to $6:$7"

job=$AUDITOR_JOBS/$master.toml
if [ "$AUDITOR_START" != kubernetes ] && [ ! -r "$job" ]; then
    say "there is no job file $job for this master; nothing is started"
    exit 0
fi
case $AUDITOR_START in
    process) set -- auditor run "$job" --output "$AUDITOR_OUTPUT" ;;
    systemd) set -- systemctl start --no-block "auditor-run@$master.service" ;;
    kubernetes)
        set -- kubectl create job "$AUDITOR_CRONJOB-$(date +%s)" --from="cronjob/$AUDITOR_CRONJOB" --request-timeout=30s
        ;;
    *)
        say "AUDITOR_START is $AUDITOR_START: say process, systemd or kubernetes; nothing is started"
        exit 0
        ;;
esac
say "starting: $*"
# shellcheck disable=SC2016
detached sh -c '"$@"; code=$?; printf "%s exit code %s of: %s\n" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$code" "$*"' sh "$@"
exit 0
