# Detached processes with pid files, for t/stack: each is a session of its own,
# so that whatever it starts can be found and ended with it.
# shellcheck shell=bash
#
# A pid file holds the process id, its start time and the boot it belongs to:
# ids are used again, and these three together are not.

# When process $1 started, in ticks since boot; empty if there is none.
process_start_time()
{
	local stat fields

	read -r stat 2>/dev/null <"/proc/$1/stat" || return 0
	# The name, in parentheses, may hold blanks.
	read -r -a fields <<<"${stat##*) }"
	echo "${fields[19]:-}"
}

boot_id()
{
	cat /proc/sys/kernel/random/boot_id
}

# Run a command detached: process_start PIDFILE LOG COMMAND...
process_start()
{
	local pidfile=$1 log=$2

	shift 2
	# Without job control a background child leads no group, so setsid
	# keeps its process id.  9 is the lock of the caller.
	setsid "$@" </dev/null >>"$log" 2>&1 9>&- &
	echo "$! $(process_start_time $!) $(boot_id)" >"$pidfile"
}

# The process id in PIDFILE if that very process is alive; fails if not.
process_pid()
{
	local pid started boot

	[ -s "$1" ] && read -r pid started boot <"$1" || return 1
	[ "$boot" = "$(boot_id)" ] || return 1
	[ "$(process_start_time "$pid")" = "$started" ] || return 1
	# A zombie has ended; its parent may be slow to notice.
	grep -qs '^State:[[:space:]]*Z' "/proc/$pid/status" && return 1
	echo "$pid"
}

# Every live process of the session in PIDFILE, and the leader's children that
# made sessions of their own, the leader first.  A killed leader may have left
# others behind.
process_members()
{
	local pid boot stat fields

	[ -s "$1" ] && read -r pid _ boot <"$1" || return 0
	[ "$boot" = "$(boot_id)" ] || return 0
	for stat in "/proc/$pid/stat" /proc/[0-9]*/stat; do
		# Not $(<...): that ends the shell if the process does.
		read -r stat 2>/dev/null <"$stat" || continue
		read -r -a fields <<<"${stat##*) }"
		# A process that ends while it is read leaves nothing.
		[ "${fields[0]:-Z}" != Z ] || continue
		if [ "${fields[3]}" = "$pid" ] || [ "${fields[1]}" = "$pid" ]
		then
			echo "${stat%% *}"
		fi
	done | awk '!seen[$0]++'
}

# Wait at most ten seconds for every live process in directory $1 to leave.
processes_leave()
{
	local deadline=$((SECONDS + 10)) cwd busy=yes

	while [ -n "$busy" ] && [ "$SECONDS" -lt "$deadline" ]; do
		busy=
		for cwd in /proc/[0-9]*/cwd; do
			[ "$(readlink "$cwd")" = "$1" ] || continue
			busy=yes
			sleep 0.1
			break
		done
	done
	[ -z "$busy" ]
}

# True once the session in PIDFILE is empty, within $2 seconds.
process_gone()
{
	local deadline=$((SECONDS + $2))

	while [ -n "$(process_members "$1")" ]; do
		[ "$SECONDS" -lt "$deadline" ] || return 1
		sleep 0.1
	done
}

# End a session: process_stop PIDFILE WHOM SIGNAL...
#
# WHOM is "leader" or "all".  Each signal has ten seconds to work, and is sent
# again each second: what was just being started may not have heard it.  Then
# comes SIGKILL.
process_stop()
{
	local pidfile=$1 whom=$2 signal round pids

	shift 2
	for signal in "$@" KILL; do
		for ((round = 0; round < 10; round++)); do
			mapfile -t pids < <(process_members "$pidfile")
			[ ${#pids[@]} -gt 0 ] || break 2
			if [ "$whom" = leader ] && [ "$signal" != KILL ] &&
			    process_pid "$pidfile" >/dev/null; then
				pids=("$(process_pid "$pidfile")")
			fi
			kill -s "$signal" "${pids[@]}" 2>/dev/null || true
			! process_gone "$pidfile" 1 || break 2
		done
	done
	rm -f "$pidfile"
}
