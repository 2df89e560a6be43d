# What a stack is made of and how each part starts and stops, for t/stack.
# shellcheck shell=bash disable=SC2154 # DIR and the like are t/stack's

# Every component of this stack, in the order they start.
components()
{
	local n

	echo postgres
	echo signer
	echo api
	echo pki
	for ((n = 1; n <= WORKERS; n++)); do
		echo "workers-$n"
	done
	echo est
	echo web
	[ "$SITE" = no ] || echo site
	[ "$AGENT" = no ] || echo agent
}

# The components a user's word means.
expand()
{
	case $1 in
	workers)
		components | grep '^workers-' ;;
	*)
		components | grep -x -- "$1" ||
			die "this stack has no component \"$1\"" ;;
	esac
}

# Wait until component $1 is ready; say what died or hangs if it never is.
await()
{
	local deadline=$((SECONDS + 30)) name

	until "ready_${1%-*}" >/dev/null 2>&1; do
		for name in $STARTED; do
			process_pid "$(pidfile "$name")" >/dev/null ||
				failed "$name" "did not start"
		done
		[ "$SECONDS" -lt "$deadline" ] || failed "$1" "is not ready"
		sleep 0.1
	done
}

failed()
{
	tail -n 3 "$DIR/log/$1.log" >&2
	die "$1 $2; see $DIR/log/$1.log"
}

need_port()
{
	port_is_free "$1" || die "port $1 is in use; choose another with $2"
}

pg_bin()
{
	local bin

	bin=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
	[ -x "$bin/postgres" ] || die "PostgreSQL is not installed"
	echo "$bin"
}

sql()
{
	as postgres psql -X -q -v ON_ERROR_STOP=1 -h "$RUN/postgres" \
	    -U postgres "$@"
}

make_cluster()
{
	local ident

	# One that was interrupted is begun again.
	rm -rf "$DIR/pg.new"
	mkdir "$DIR/pg.new"
	give postgres "$DIR/pg.new"
	as postgres "$(pg_bin)/initdb" -D "$DIR/pg.new" -U postgres -E UTF8 \
	    --no-locale -A peer --no-sync --no-instructions >"$DIR/log/initdb.log" 2>&1 ||
		die "no PostgreSQL cluster could be made; see" \
		    "$DIR/log/initdb.log"
	ident=$(for name in postgres root "$(id -un)"; do
		echo "stack $name postgres"
	done | sort -u)
	as postgres tee "$DIR/pg.new/pg_ident.conf" <<<"$ident" >/dev/null
	as postgres tee "$DIR/pg.new/pg_hba.conf" >/dev/null <<-EOF
	local all postgres peer map=stack
	local all all scram-sha-256
	EOF
	echo "include 'stack.conf'" |
	    as postgres tee -a "$DIR/pg.new/postgresql.conf" >/dev/null
	mv "$DIR/pg.new" "$DIR/pg"
}

configure_postgres()
{
	as postgres tee "$DIR/pg/stack.conf" >/dev/null <<-EOF
	listen_addresses = ''
	unix_socket_directories = '$RUN/postgres'
	max_connections = 100
	shared_buffers = 16MB
	dynamic_shared_memory_type = mmap
	max_wal_size = 512MB
	jit = off
	timezone = UTC
	log_timezone = UTC
	log_line_prefix = '%m [%p] %u '
	$(cat "$DIR/etc/extra.pg")
	EOF
}

make_database()
{
	# Passwords go by standard input: arguments can be seen by others.
	sql -d postgres <<-EOF
	SELECT format('CREATE ROLE %I LOGIN PASSWORD %L', name, password)
	FROM (VALUES ('certctl', '$OWNER_PASSWORD'),
	    ('certctl_api', '$API_PASSWORD'),
	    ('certctl_pki', '$PKI_PASSWORD'),
	    ('certctl_est', '$EST_PASSWORD')) r (name, password)
	WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
	SELECT 'CREATE DATABASE certctl OWNER certctl'
	WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'certctl')
	\gexec
	EOF
}

# A program that refuses its settings would only be started in vain.
check_settings()
{
	(use_settings certctl "$1"
	run_as daemon "$DIR/bin/certctl-$1" --check-config) \
	    >"$DIR/log/check-$1.log" 2>&1 9>&- || {
		tail -n 3 "$DIR/log/check-$1.log" >&2
		die "certctl-$1 refuses its settings"
	}
}

migrate()
{
	(use_settings certctl workers
	run_as daemon "$DIR/bin/certctl-workers" --migrate) \
	    >"$DIR/log/migrate.log" 2>&1 9>&- || {
		tail -n 3 "$DIR/log/migrate.log" >&2
		die "the database could not be migrated; see" \
		    "$DIR/log/migrate.log"
	}
}

# run_NAME becomes the process of component NAME; prepare_NAME comes before
# it, and ready_NAME is true once it serves.

prepare_postgres()
{
	[ -d "$DIR/pg" ] || make_cluster
	mkdir -p "$RUN/postgres"
	if is_root; then
		chown postgres:daemon "$RUN/postgres"
	fi
	chmod 750 "$RUN/postgres"
	configure_postgres
	# A postmaster that was killed leaves its lock; where nobody collects
	# dead processes, its id seems alive for ever.
	processes_leave "$DIR/pg" || die "processes of the last PostgreSQL" \
	    "are still there"
	rm -f "$DIR/pg/postmaster.pid" "$RUN"/postgres/.s.*
}

run_postgres()
{
	use_settings
	run_as postgres "$(pg_bin)/postgres" -D "$DIR/pg"
}

ready_postgres()
{
	sql -d postgres -c 'SELECT 1'
}

prepare_signer()
{
	check_settings signer
	mkdir -p "$RUN/signer"
	if is_root; then
		chown bin:daemon "$RUN/signer"
	fi
	chmod 750 "$RUN/signer"
	rm -f "$RUN/signer/signer.sock"
}

# Callers reach the socket as its group.
run_signer()
{
	use_settings certctl signer
	run_kept bin:daemon "$DIR/bin/certctl-signer"
}

ready_signer()
{
	[ -S "$RUN/signer/signer.sock" ]
}

# The processes of responder $1, $2 of them.
run_responder()
{
	local owner=()

	if is_root; then
		owner=(-u daemon -g daemon -U daemon -G www-data)
	fi
	use_settings certctl "$1"
	# multiwatch starts a child that lived 50 ms again for ever; after 100
	# that did not it ends, and is started anew, as systemd does it.
	while :; do
		spawn-fcgi -n -s "$RUN/$1.sock" -M 0660 -b 4096 \
		    "${owner[@]}" -- /usr/bin/multiwatch -f "$2" -r 100 \
		    -t 50 -s TERM -- "$DIR/bin/certctl-$1" || true
		sleep 0.5
	done
}

prepare_api()
{
	check_settings api
	rm -f "$RUN/api.sock"
}

run_api()
{
	run_responder api "$API"
}

ready_api()
{
	[ -S "$RUN/api.sock" ]
}

prepare_pki()
{
	check_settings pki
	rm -f "$RUN/pki.sock"
}

run_pki()
{
	run_responder pki "$PKI"
}

ready_pki()
{
	[ -S "$RUN/pki.sock" ]
}

# What the demo's profile may issue, and whose certificates it knows: those of
# iss-local, which the workers make.
prepare_est()
{
	local deadline=$((SECONDS + 30)) ca=

	until [ -n "$ca" ]; do
		[ "$SECONDS" -lt "$deadline" ] || die "iss-local has no CA" \
		    "certificate; see $DIR/log/workers-1.log"
		sleep 0.1
		ca=$(sql -d certctl -At -c "SELECT k.cert_pem FROM ca_keys k
		    JOIN issuer_ca_keys l ON l.ca_key_id = k.id
		    WHERE l.issuer_id = 'iss-local' AND l.active")
	done
	echo "$ca" >"$DIR/etc/est-ca.pem"
	sql -d certctl -c "INSERT INTO certificate_profiles (id, name,
	    allowed_key_algorithms, allowed_ekus) VALUES ('prof-est',
	    'EST devices', '[{\"algorithm\": \"ECDSA\", \"min_size\": 256},
	    {\"algorithm\": \"RSA\", \"min_size\": 2048}]',
	    '{clientAuth,serverAuth}') ON CONFLICT DO NOTHING"
	check_settings est
	rm -f "$RUN/est.sock"
}

run_est()
{
	run_responder est "$EST"
}

ready_est()
{
	[ -S "$RUN/est.sock" ]
}

prepare_workers()
{
	check_settings workers
}

run_workers()
{
	use_settings certctl workers
	run_kept daemon "$DIR/bin/certctl-workers"
}

prepare_web()
{
	need_port "$PORT" --port
	need_port "$HTTP_PORT" --http-port
	need_port "$EST_PORT" --est-port
}

run_web()
{
	use_settings
	case $WEB in
	nginx)
		exec nginx -e stderr -c "$DIR/etc/nginx/nginx.conf" \
		    -g 'daemon off;' ;;
	apache)
		exec apache2 -f "$DIR/etc/apache/httpd.conf" -D FOREGROUND ;;
	esac
}

ready_web()
{
	curl -fsS -m 5 -o /dev/null --cacert "$DIR/etc/tls/ca.crt" \
	    "https://localhost:$PORT/ready"
}

prepare_site()
{
	need_port "$SITE_PORT" --site-port
}

run_site()
{
	use_settings
	exec nginx -e stderr -c "$DIR/site/nginx.conf" -g 'daemon off;'
}

ready_site()
{
	curl -fsSk -m 5 -o /dev/null "https://localhost:$SITE_PORT/"
}

run_agent()
{
	use_settings agent
	run_kept root "$DIR/bin/certctl-agent"
}

# Does component $1 have a function $2_... of its own?
has()
{
	declare -F "$2_${1%-*}" >/dev/null
}

start()
{
	local name=$1 file

	file=$(pidfile "$name")
	! process_pid "$file" >/dev/null || return 0
	process_stop "$file" all TERM
	! has "$name" prepare || "prepare_${name%-*}"
	STARTED="$name $STARTED"
	process_start "$file" "$DIR/log/$name.log" \
	    "$BASH" "$SOURCE/t/stack" --run "$DIR" "$name"
	! has "$name" ready || await "$name"
	if [ "$name" = postgres ]; then
		make_database
		migrate
	fi
}

# The signal that lets a web server finish its requests.
graceful()
{
	local pid

	pid=$(process_pid "$1") || pid=self
	case $(<"/proc/$pid/comm") in
	apache2)	echo WINCH ;;
	*)		echo QUIT ;;
	esac
}

# How each component is asked to end; requests in flight are finished.
stop()
{
	local file

	file=$(pidfile "$1")
	case $1 in
	postgres)
		process_stop "$file" leader INT QUIT ;;
	web | site)
		process_stop "$file" leader "$(graceful "$file")" TERM ;;
	*)
		process_stop "$file" all TERM ;;
	esac
}
