# Where a stack is and who runs its parts, for t/stack.
# shellcheck shell=bash disable=SC2154 # DIR and the like are t/stack's

# As root, DIR must be open to the accounts that do the work; /root, for one,
# is not.  Then the stack is made below /var/lib, and DIR is a link to it.
place()
{
	local real

	case $DIR in
	*[!A-Za-z0-9._/@+-]*)
		die "$DIR: only letters, digits and . _ / @ + - may be in" \
		    "the path" ;;
	esac
	mkdir -p "$DIR"
	DIR=$(cd "$DIR" && pwd -P)
	if is_root && ! setpriv --reuid=daemon --regid=daemon --clear-groups \
	    test -x "$DIR/."; then
		real=$(mktemp -d /var/lib/certctl-XXXXXXXX)
		chmod 755 "$real"
		find "$DIR" -mindepth 1 -maxdepth 1 -exec mv -t "$real" {} +
		rmdir "$DIR"
		ln -s "$real" "$DIR"
		DIR=$real
	fi
}

# Sockets live in DIR/run, or below /tmp where DIR is too long for them.
place_run()
{
	local target

	RUN=$DIR/run
	if [ $((${#RUN} + ${#LONGEST_SOCKET})) -gt 107 ]; then
		target=$(readlink "$RUN" || true)
		if [ ! -O "${target:-/nonexistent}" ]; then
			target=$(mktemp -d /tmp/certctl-XXXXXXXX)
			ln -sfn "$target" "$RUN"
		fi
		RUN=$target
	fi
	mkdir -p "$RUN"
	chmod 755 "$RUN"
}

# The stack in DIR, which must be there.
open_stack()
{
	[ -r "$DIR/etc/stack.conf" ] || die "there is no stack in $DIR"
	DIR=$(cd "$DIR" && pwd -P)
	place_run
	# shellcheck source=/dev/null
	. "$DIR/etc/stack.conf"
}

lock()
{
	exec 9>"$DIR/etc/lock"
	flock -w 120 9 || die "another t/stack is at work in $DIR"
}

pidfile()
{
	echo "$RUN/$1.pid"
}

# Become a command, as ACCOUNT or ACCOUNT:GROUP if root, else as the caller.
run_as()
{
	local account=$1

	shift
	if is_root; then
		set -- setpriv --reuid="${account%:*}" \
		    --regid="${account#*:}" --init-groups -- "$@"
	fi
	exec "$@"
}

as()
{
	(run_as "$@")
}

# Give a path to ACCOUNT, and to it alone.
give()
{
	if is_root; then
		chown -R "$1:" "$2"
	fi
	chmod 700 "$2"
}

# Forget the environment but for the settings in the files named, which are
# all that a program of certctl's gets to know.
use_settings()
{
	local name file

	for name in $(compgen -e); do
		unset "$name"
	done
	export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 HOME=/
	set -a
	for file in "$@" extra; do
		# shellcheck source=/dev/null
		. "$DIR/etc/$file.env"
	done
	set +a
}

# Run a command again for as long as it fails, as systemd's
# Restart=on-failure does: run_kept ACCOUNT COMMAND...
run_kept()
{
	local account=$1

	shift
	# shellcheck disable=SC2016 # for the inner shell
	run_as "$account" "$BASH" -c 'until "$@"; do sleep 0.5; done' keep "$@"
}
