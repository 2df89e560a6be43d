# TCP ports of this machine, for t/stack, demo and check.
# shellcheck shell=bash

# Does nothing listen on port $1, on any address?
port_is_free()
{
	local hex

	hex=$(printf ':%04X' "$1")
	! cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk -v port="$hex" '
	    $4 == "0A" && substr($2, length($2) - 4) == port { found = 1 }
	    END { exit !found }'
}

# A free port from $1 on, not one that the kernel gives to clients.
free_port()
{
	local port=$1

	until port_is_free "$port"; do
		port=$((port + 1))
	done
	echo "$port"
}
