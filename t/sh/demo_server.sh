# What ./demo does with a server: an agent gets a certificate, installs it in an
# NGINX, and renews it.  Each step is checked before it is told.
# shellcheck shell=bash disable=SC2016,SC2154 # jq's $; DIR and the like are demo's

AGENT=demo-agent
TARGET=tgt-demo-site

# Call the API: api METHOD PATH [BODY].  The answer is left in $TEMP/answer
# and its status in STATUS; the key stays off the command line.
api()
{
	local body=()

	[ $# -lt 3 ] || body=(-H 'Content-Type: application/json' -d "$3")
	STATUS=$(curl -sS -m 30 -o "$TEMP/answer" -w '%{http_code}' -X "$1" \
	    --cacert "$CERTCTL_SERVER_CA_BUNDLE_PATH" -H "@$TEMP/header" \
	    "${body[@]}" "$CERTCTL_SERVER_URL/api/v1$2") ||
		die "$1 $2 failed"
}

# Call the API and insist on success.
must()
{
	api "$@"
	[[ $STATUS == 2?? ]] ||
		die "$1 $2 answered $STATUS: $(cat "$TEMP/answer")"
}

# A member of the last answer: answer JQ-FILTER [--arg NAME VALUE ...]
answer()
{
	local filter=$1

	shift
	jq -r "$@" "$filter" "$TEMP/answer"
}

# Create what PATH lacks: ensure COLLECTION ID BODY
ensure()
{
	api GET "$1/$2"
	case $STATUS in
	200)	return ;;
	404)	must POST "$1" "$3" ;;
	*)	must GET "$1/$2" ;;
	esac
}

# Wait at most $1 seconds for a command to succeed, else say what did not
# happen: await SECONDS WHAT COMMAND...
await()
{
	local deadline=$((SECONDS + $1)) what=$2

	shift 2
	until "$@"; do
		[ "$SECONDS" -lt "$deadline" ] ||
			die "$what did not happen; $(why_not)"
		sleep 0.1
	done
}

# What was said last to the one who asked for it, or the reason that a failed
# job gives; and where the logs are.
why_not()
{
	if [ -s "$TEMP/said" ]; then
		tail -n 3 "$TEMP/said"
	else
		api GET "/jobs?certificate_id=$CERTIFICATE&status=Failed&per_page=1"
		answer '.data[0].last_error // "no job has failed"'
	fi
	echo "the logs are in $DIR/log"
}

agent_is_online()
{
	must GET '/agents?per_page=500'
	AGENT_ID=$(answer '.data[] | select(.name == $name and
	    .status == "Online") | .id' --arg name "$AGENT")
	[ -n "$AGENT_ID" ]
}

make_inventory()
{
	ensure /teams t-demo '{"id": "t-demo", "name": "Demo team"}'
	ensure /owners o-demo '{"id": "o-demo", "name": "Demo owner",
	    "email": "owner@example.org", "team_id": "t-demo"}'
	ensure /profiles prof-demo '{"id": "prof-demo", "enabled": true,
	    "name": "Demo web servers", "max_ttl_seconds": 7776000,
	    "allowed_key_algorithms": [{"algorithm": "ECDSA", "min_size": 256}],
	    "allowed_ekus": ["serverAuth"]}'
	must GET /renewal-policies/rp-default
	must GET /issuers/iss-local
}

# The target, also where the site has moved since.
make_target()
{
	local body

	body=$(jq -n --arg id "$TARGET" \
	    --arg agent "$AGENT_ID" --arg site "$DIR/site" \
	    --arg nginx "$(PATH=$PATH:/usr/sbin command -v nginx)" \
	    --argjson port "$SITE_PORT" '{
		id: $id, name: "Demo site", type: "NGINX", agent_id: $agent,
		config: {
			cert_path: "\($site)/site.crt",
			key_path: "\($site)/site.key",
			validate_command: "\($nginx) -t -c \($site)/nginx.conf",
			reload_command:
			    "\($nginx) -s reload -c \($site)/nginx.conf",
			post_deploy_verify: {
				enabled: true, endpoint: "localhost:\($port)"
			},
			host: "localhost", port: $port
		}
	    }')
	ensure /targets "$TARGET" "$body"
	must GET "/targets/$TARGET"
	[ "$(answer .config.port)" = "$SITE_PORT" ] ||
		must PUT "/targets/$TARGET" "$body"
}

make_certificate()
{
	ensure /certificates "$CERTIFICATE" "$(jq -n --arg id "$CERTIFICATE" \
	    --arg target "$TARGET" '{
		id: $id, name: "Demo site", common_name: "localhost",
		sans: ["localhost", "127.0.0.1"], environment: "demo",
		team_id: "t-demo", owner_id: "o-demo", issuer_id: "iss-local",
		renewal_policy_id: "rp-default",
		certificate_profile_id: "prof-demo", target_ids: [$target]
	    }')"
}

# The newest version of the certificate: its SERIAL, FINGERPRINT and chain.
newest_version()
{
	must GET "/certificates/$CERTIFICATE/versions?per_page=1"
	SERIAL=$(answer '.data[0].serial_number // empty')
	FINGERPRINT=$(answer '.data[0].fingerprint_sha256 // empty')
	answer '.data[0].pem_chain // empty' >"$TEMP/chain.pem"
	answer '.data[0].csr_pem // empty' >"$TEMP/csr.pem"
	[ -n "$SERIAL" ]
}

# The certificate that the customer's site shows to the world.
fetch_served()
{
	openssl s_client -connect "localhost:$SITE_PORT" -servername localhost \
	    "$@" </dev/null 2>/dev/null | openssl x509 >"$TEMP/served.pem" \
	    2>/dev/null
}

# Is it the newest version?  The arguments are s_client's.
newest_is_served()
{
	local served

	fetch_served "$@" || return 1
	served=$(openssl x509 -in "$TEMP/served.pem" -noout -fingerprint -sha256)
	served=${served#*=}
	served=${served//:/}
	[ "${served,,}" = "$FINGERPRINT" ]
}

# ... and does it verify?  The CA is the last certificate of the chain.
newest_is_trusted()
{
	awk '/BEGIN/ { pem = "" } { pem = pem $0 "\n" } END { printf "%s", pem }' \
	    "$TEMP/chain.pem" >"$TEMP/ca.pem"
	newest_is_served -CAfile "$TEMP/ca.pem" -verify_return_error \
	    -verify_hostname localhost
}

public_key_of()
{
	openssl "$@" 2>/dev/null | openssl pkey -pubin -outform DER |
	    openssl dgst -sha256 -r
}

# A renewal has started when its job exists; RENEWAL is its id.
renew()
{
	must POST "/certificates/$CERTIFICATE/renew?force=true"
	must GET "/jobs?certificate_id=$CERTIFICATE&per_page=1"
	RENEWAL=$(answer '.data[0].id')
}

csr_has_arrived()
{
	must GET "/jobs/$RENEWAL"
	[ "$(answer .status)" != Failed ] || die "no CSR: $(why_not)"
	[ "$(answer .status)" != AwaitingCSR ]
}

new_version_exists()
{
	newest_version && [ "$SERIAL" != "$OLD_SERIAL" ]
}

deployment_is_complete()
{
	must GET "/jobs?certificate_id=$CERTIFICATE&type=Deployment&per_page=1"
	[ "$(answer '.data[0].status')" != Failed ] ||
		die "the deployment failed: $(why_not)"
	[ "$(answer '.data[0].status')" = Completed ] && newest_is_served
}

# The agent has one key for the certificate, and it is the served one.
only_served_key_is_left()
{
	local keys

	mapfile -t keys < <(find "$DIR/agent/keys" -name "$CERTIFICATE*key*")
	[ ${#keys[@]} -eq 1 ] &&
	[ "$(public_key_of pkey -in "${keys[0]}" -pubout)" = \
	    "$(public_key_of x509 -in "$TEMP/served.pem" -noout -pubkey)" ]
}

# One whole turn, from the order to the handshake; each line has been checked.
turn()
{
	OLD_SERIAL=$1
	renew
	await 30 "the agent's CSR" csr_has_arrived
	say "CSR made by the agent; the private key stays with it"
	await 30 "the issue" new_version_exists
	[ "$(public_key_of req -in "$TEMP/csr.pem" -noout -pubkey)" = \
	    "$(public_key_of x509 -in "$TEMP/chain.pem" -noout -pubkey)" ] ||
		die "the certificate is not for the key of the CSR"
	say "issued by iss-local: serial $SERIAL"
	await 60 "the deployment" deployment_is_complete
	say "deployed: certificate and key installed, NGINX reloaded"
	# The NGINX process of before may answer for a moment.
	await 10 "a handshake that verifies" newest_is_trusted
	say "verified: a TLS handshake with localhost:$SITE_PORT shows it"
}

server_job()
{
	await 60 "the agent's registration" agent_is_online
	say "agent registered and online: $AGENT_ID"
	make_inventory
	say "team, owner and profile there; policy rp-default, issuer iss-local"
	make_target
	say "target there: NGINX on localhost:$SITE_PORT"
	make_certificate
	say "certificate there: $CERTIFICATE for localhost"
	if newest_version && newest_is_trusted; then
		say "verified: localhost:$SITE_PORT serves serial $SERIAL"
		return
	fi
	turn "${SERIAL:-}"
	say "once more: renewed before it is due"
	turn "$SERIAL"
	await 30 "the end of the old key" only_served_key_is_left
	say "renewed: the new serial is served, the old key is gone"
}
