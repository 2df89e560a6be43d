# The settings, certificates and configuration files of a stack, for t/stack.
# shellcheck shell=bash disable=SC2154 # DIR and the like are t/stack's

secret()
{
	openssl rand -hex 24
}

make_settings()
{
	local etc=$DIR/etc

	if [ ! -s "$etc/secrets.env" ]; then
		(umask 077; cat >"$etc/secrets.env.new" <<-EOF
		ADMIN_KEY=$(secret)
		BOOTSTRAP_TOKEN=$(secret)
		SEAL_KEY=$(secret)
		OWNER_PASSWORD=$(secret)
		API_PASSWORD=$(secret)
		EOF
		)
		mv "$etc/secrets.env.new" "$etc/secrets.env"
	fi
	# shellcheck source=/dev/null
	. "$etc/secrets.env"
	: >>"$etc/certctl.yaml"
	: >>"$etc/extra.env"
	(
	umask 077
	cat >"$etc/certctl.env" <<-EOF
	CERTCTL_CONFIG_FILE='$etc/certctl.yaml'
	CERTCTL_RUN_DIR='$RUN/certctl'
	CERTCTL_API_KEYS_NAMED='admin:$ADMIN_KEY:admin'
	CERTCTL_AGENT_BOOTSTRAP_TOKEN='$BOOTSTRAP_TOKEN'
	CERTCTL_CONFIG_ENCRYPTION_KEY='$SEAL_KEY'
	EOF
	cat >"$etc/api.env" <<-EOF
	CERTCTL_DATABASE_URL='$(database_url certctl_api "$API_PASSWORD")'
	EOF
	cat >"$etc/workers.env" <<-EOF
	CERTCTL_DATABASE_URL='$(database_url certctl "$OWNER_PASSWORD")'
	CERTCTL_STATE_DIR='$DIR/state'
	EOF
	cat >"$etc/agent.env" <<-EOF
	CERTCTL_SERVER_URL='https://localhost:$PORT'
	CERTCTL_SERVER_CA_BUNDLE_PATH='$etc/tls/ca.crt'
	CERTCTL_AGENT_NAME='demo-agent'
	CERTCTL_AGENT_BOOTSTRAP_TOKEN='$BOOTSTRAP_TOKEN'
	CERTCTL_KEY_DIR='$DIR/agent/keys'
	EOF
	cat >"$DIR/demo.env" <<-EOF
	export CERTCTL_SERVER_URL='https://localhost:$PORT'
	export CERTCTL_API_KEY='$ADMIN_KEY'
	export CERTCTL_SERVER_CA_BUNDLE_PATH='$etc/tls/ca.crt'
	export CERTCTL_DEMO_SITE='https://localhost:$SITE_PORT'
	EOF
	)
}

database_url()
{
	echo "postgres://$1:$2@/certctl?host=$RUN/postgres"
}

# A key and a certificate for localhost: make_certificate NAME [req option ...]
make_certificate()
{
	local name=$1

	shift
	(umask 077; openssl req -x509 -newkey ec -nodes \
	    -pkeyopt ec_paramgen_curve:P-256 -keyout "$name.key" \
	    -out "$name.crt" -config <(printf '%s\n' '[req]' \
	    'distinguished_name = dn' '[dn]') -utf8 "$@" 2>/dev/null) ||
		die "openssl could not make $name.crt"
	chmod 644 "$name.crt"
}

# The CA that signs the web server's certificate, and that certificate.
make_tls()
{
	local tls=$DIR/etc/tls
	local san=subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1

	mkdir -p "$tls"
	if [ ! -s "$tls/ca.crt" ]; then
		make_certificate "$tls/ca" -subj "/CN=certctl demo server CA" \
		    -days 3650 -addext basicConstraints=critical,CA:TRUE \
		    -addext keyUsage=critical,keyCertSign,cRLSign
	fi
	if ! openssl x509 -checkend 2592000 -noout -in "$tls/server.crt" \
	    >/dev/null 2>&1; then
		make_certificate "$tls/server" -subj /CN=localhost -days 397 \
		    -CA "$tls/ca.crt" -CAkey "$tls/ca.key" -addext "$san" \
		    -addext basicConstraints=critical,CA:FALSE \
		    -addext extendedKeyUsage=serverAuth
	fi
	if [ ! -s "$DIR/site/site.crt" ]; then
		make_certificate "$DIR/site/site" -subj /CN=localhost \
		    -days 30 -addext "$san"
	fi
}

has_ipv6()
{
	grep -qs '^0\{31\}1 ' /proc/net/if_inet6
}

# Copy the product's configuration with this stack's paths and ports.
render()
{
	local six='/\[::\]/d'

	if has_ipv6; then
		six="s#\\[::\\]:8443#[::1]:$PORT#"
	fi
	sed -e "s#/etc/certctl/#$DIR/etc/#g" \
	    -e "s#/usr/share/certctl/htdocs#$DIR/htdocs#g" \
	    -e "s#/run/certctl#$RUN#g" \
	    -e "s#/run/nginx.pid#$RUN/web-nginx.pid#g" \
	    -e "s#/run/apache2#$RUN/apache#g" \
	    -e "s#/var/log/\(nginx\|apache2\)/certctl-#$DIR/log/web-#g" \
	    -e "s#/var/lib/nginx#$DIR/tmp/web#g" \
	    -e "$six" \
	    -e "s#listen 8443#listen 127.0.0.1:$PORT#" \
	    -e "s#^Listen 8443#Listen localhost:$PORT#" \
	    -e "s#\*:8443#*:$PORT#" "$1" >"$2"
}

render_all()
{
	local file

	while read -r file; do
		mkdir -p "$DIR/etc/$(dirname "$file")"
		render "$SOURCE/conf/$file" "$DIR/etc/$file"
	done < <(cd "$SOURCE/conf" && find nginx apache -name '*.conf')
	mkdir -p "$DIR/tmp/web" "$DIR/tmp/site" "$RUN/apache"
	rm -rf "$DIR/htdocs"
	cp -R "$SOURCE/htdocs" "$DIR/htdocs"
	chmod -R u=rwX,go=rX "$DIR/htdocs"
	sed -e "s#@RUN@#$RUN#g; s#@DIR@#$DIR#g" \
	    -e "s#@PORT@#$SITE_PORT#g" -e "$(has_ipv6 || echo '/\[::1\]/d')" \
	    "$SOURCE/t/site.conf" >"$DIR/site/nginx.conf"
}

# Copied, not linked: the build may change or be closed to daemon.  CHANGED
# names the programs that are not the ones of before.
install_programs()
{
	local program from

	CHANGED=
	mkdir -p "$DIR/bin"
	for program in "${PROGRAMS[@]}"; do
		from=$BUILD/$program
		[ -x "$from" ] || from=$BUILD/bin/$program
		[ -x "$from" ] || die "$BUILD has no $program"
		if ! cmp -s "$from" "$DIR/bin/$program"; then
			install -m 755 "$from" "$DIR/bin/$program.new"
			mv "$DIR/bin/$program.new" "$DIR/bin/$program"
			CHANGED="$CHANGED ${program#certctl-}"
		fi
	done
}
