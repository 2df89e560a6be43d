# The settings, certificates and configuration files of a stack, for t/stack.
# shellcheck shell=bash disable=SC2154 # DIR and the like are t/stack's

secret()
{
	openssl rand -hex 24
}

make_settings()
{
	local etc=$DIR/etc name

	# What is there stays; what an older stack had no use for is added.
	for name in ADMIN_KEY BOOTSTRAP_TOKEN SEAL_KEY OWNER_PASSWORD \
	    API_PASSWORD PKI_PASSWORD EST_PASSWORD ENROLLMENT_PASSWORD; do
		grep -qs "^$name=" "$etc/secrets.env" ||
			(umask 077; echo "$name=$(secret)" \
			    >>"$etc/secrets.env")
	done
	# shellcheck source=/dev/null
	. "$etc/secrets.env"
	: >>"$etc/certctl.yaml"
	: >>"$etc/extra.env"
	(
	umask 077
	cat >"$etc/certctl.env" <<-EOF
	CERTCTL_CONFIG_FILE='$etc/certctl.yaml'
	CERTCTL_RUN_DIR='$RUN/certctl'
	CERTCTL_SIGNER_SOCKET='$RUN/signer/signer.sock'
	CERTCTL_API_KEYS_NAMED='admin:$ADMIN_KEY:admin'
	CERTCTL_AGENT_BOOTSTRAP_TOKEN='$BOOTSTRAP_TOKEN'
	CERTCTL_CONFIG_ENCRYPTION_KEY='$SEAL_KEY'
	CERTCTL_PKI_BASE_URL='http://localhost:$HTTP_PORT/.well-known/pki'
	CERTCTL_EST_ENABLED='true'
	CERTCTL_EST_PROFILES='demo'
	CERTCTL_EST_ALLOWED_AUTH_MODES='basic'
	CERTCTL_EST_PROFILE_DEMO_ISSUER_ID='iss-local'
	CERTCTL_EST_PROFILE_DEMO_PROFILE_ID='prof-est'
	CERTCTL_EST_PROFILE_DEMO_ALLOWED_AUTH_MODES='basic,mtls'
	CERTCTL_EST_PROFILE_DEMO_MTLS_ENABLED='true'
	CERTCTL_EST_PROFILE_DEMO_MTLS_CLIENT_CA_TRUST_BUNDLE_PATH='$etc/est-ca.pem'
	CERTCTL_EST_PROFILE_DEMO_SERVERKEYGEN_ENABLED='true'
	EOF
	cat >"$etc/api.env" <<-EOF
	CERTCTL_DATABASE_URL='$(database_url certctl_api "$API_PASSWORD")'
	EOF
	cat >"$etc/pki.env" <<-EOF
	CERTCTL_DATABASE_URL='$(database_url certctl_pki "$PKI_PASSWORD")'
	EOF
	cat >"$etc/est.env" <<-EOF
	CERTCTL_DATABASE_URL='$(database_url certctl_est "$EST_PASSWORD")'
	CERTCTL_EST_ENROLLMENT_PASSWORD='$ENROLLMENT_PASSWORD'
	CERTCTL_EST_PROFILE_DEMO_ENROLLMENT_PASSWORD='$ENROLLMENT_PASSWORD'
	EOF
	cat >"$etc/workers.env" <<-EOF
	CERTCTL_DATABASE_URL='$(database_url certctl "$OWNER_PASSWORD")'
	CERTCTL_STATE_DIR='$DIR/state'
	CERTCTL_CRL_DIR='$DIR/crl'
	EOF
	cat >"$etc/signer.env" <<-EOF
	CERTCTL_STATE_DIR='$DIR/signer'
	CERTCTL_SIGNER_KEY_DIRS='$DIR/ca'
	CERTCTL_SIGNER_ALLOW='daemon'
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
	export CERTCTL_EST_URL='https://localhost:$EST_PORT/.well-known/est/demo'
	export CERTCTL_EST_USER='est'
	export CERTCTL_EST_PASSWORD='$ENROLLMENT_PASSWORD'
	export CERTCTL_DEMO_PKI='http://localhost:$HTTP_PORT/.well-known/pki'
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
		six="s#\\[::\\]:8443#[::1]:$PORT#; s#\\[::\\]:8080#[::1]:$HTTP_PORT#; s#\\[::\\]:8444#[::1]:$EST_PORT#"
	fi
	sed -e "s#/etc/certctl/#$DIR/etc/#g" \
	    -e "s#/usr/share/certctl/htdocs#$DIR/htdocs#g" \
	    -e "s#/run/certctl\(-pki\|-est\)\?/#$RUN/#g" \
	    -e "s#/run/nginx.pid#$RUN/web-nginx.pid#g" \
	    -e "s#/run/apache2#$RUN/apache#g" \
	    -e "s#/var/log/\(nginx\|apache2\)/certctl-#$DIR/log/web-#g" \
	    -e "s#/var/lib/nginx#$DIR/tmp/web#g" \
	    -e "$six" \
	    -e "s#/var/lib/certctl-crl#$DIR/crl#g" \
	    -e "s#listen 8443#listen 127.0.0.1:$PORT#" \
	    -e "s#listen 8080#listen 127.0.0.1:$HTTP_PORT#" \
	    -e "s#listen 8444#listen 127.0.0.1:$EST_PORT#" \
	    -e "s#^Listen 8443#Listen localhost:$PORT#" \
	    -e "s#^Listen 8080#Listen localhost:$HTTP_PORT#" \
	    -e "s#^Listen 8444#Listen localhost:$EST_PORT#" \
	    -e "s#\*:8443#*:$PORT#; s#\*:8080#*:$HTTP_PORT#" \
	    -e "s#\*:8444#*:$EST_PORT#" "$1" >"$2"
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
