# What ./demo does with a device: it enrols by EST, is revoked, and OCSP and the
# CRL say so.  Each step is checked before it is told.
# shellcheck shell=bash disable=SC2016,SC2154 # jq's $; DIR and the like are demo's

# Its key, CSR and certificate, and that of the CA, stay from run to run.

# What its certificate says: device -serial
device()
{
	openssl x509 -in "$DEVICE/device.crt" -noout -nameopt RFC2253 "$@"
}

device_serial()
{
	device -serial | cut -d= -f2
}

device_crl_url()
{
	device -ext crlDistributionPoints | sed -n 's/^ *URI://p' | head -n 1
}

# The certificates that EST answers with, into a file:
# est OPERATION FILE [curl option ...]
est()
{
	local operation=$1 file=$2

	shift 2
	STATUS=$(curl -sS -m 30 -o "$TEMP/said" -w '%{http_code}' \
	    --cacert "$CERTCTL_SERVER_CA_BUNDLE_PATH" "$@" \
	    "$CERTCTL_EST_URL/$operation") || die "EST $operation failed"
	case $STATUS in
	200)	;;
	202 | 503)
		return 1 ;;
	*)	die "EST $operation answered $STATUS: $(cat "$TEMP/said")" ;;
	esac
	base64 -d "$TEMP/said" | openssl pkcs7 -inform DER -print_certs \
	    -out "$file" 2>/dev/null ||
		die "EST $operation did not answer with certificates"
}

enrolled()
{
	est simpleenroll "$DEVICE/device.crt" -K "$TEMP/est.conf" \
	    -H 'Content-Type: application/pkcs10' \
	    --data-binary "@$DEVICE/device.csr"
}

enrol_device()
{
	rm -rf "$DEVICE"
	(umask 077; mkdir "$DEVICE")
	openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
	    -subj "/CN=demo-device-$(openssl rand -hex 4)" -outform DER \
	    -keyout "$DEVICE/device.key" -out "$TEMP/csr" 2>"$TEMP/said" ||
		die "openssl made no CSR: $(cat "$TEMP/said")"
	base64 -w 0 "$TEMP/csr" >"$DEVICE/device.csr"
	say "a device made a key and a CSR with openssl"
	await 30 "EST's answer" est cacerts "$DEVICE/ca.crt"
	await 30 "the enrolment" enrolled
	[ "$(public_key_of pkey -in "$DEVICE/device.key" -pubout)" = \
	    "$(public_key_of x509 -in "$DEVICE/device.crt" -noout -pubkey)" ] &&
	openssl verify -CAfile "$DEVICE/ca.crt" "$DEVICE/device.crt" \
	    >"$TEMP/said" 2>&1 ||
		die "what EST issued is not good: $(cat "$TEMP/said")"
	say "enrolled by EST, simpleenroll with user and password:"
	device -subject -serial -issuer | sed 's/^/          /'
}

# Ask OCSP where the certificate says; OCSP is what it answers: good, revoked,
# unknown, unauthorized.
ocsp_answers()
{
	openssl ocsp -issuer "$DEVICE/ca.crt" -CAfile "$DEVICE/ca.crt" \
	    -cert "$DEVICE/device.crt" -url "$(device -ocsp_uri)" -timeout 10 \
	    >"$TEMP/said" 2>&1 || true
	OCSP=$(sed -n 's/^Responder Error: \(unauthorized\) .*/\1/p
	    s/^.*\/device\.crt: //p' "$TEMP/said")
	[ "$OCSP" = unauthorized ] ||
	    { [ -n "$OCSP" ] && grep -q '^Response verify OK' "$TEMP/said"; }
}

ocsp_is_good()
{
	ocsp_answers && [ "$OCSP" = good ]
}

# Is there a certificate of an earlier run that tells where we are?  What it
# says of that cannot change, so it goes when the port does.
device_is_there()
{
	[ -s "$DEVICE/device.crt" ] &&
	[[ $(device -ocsp_uri) == "$CERTCTL_DEMO_PKI"/* ]] &&
	device -checkend 60 >/dev/null
}

revoke_device()
{
	local name id

	name=$(device -subject | sed 's/^subject=CN=//')
	must GET '/certificates?sort=-createdAt&per_page=500'
	id=$(answer '[.data[] | select(.common_name == $name)][0].id // empty' \
	    --arg name "$name")
	[ -n "$id" ] || die "$name is not in the inventory"
	must POST "/certificates/$id/revoke" '{"reason": "keyCompromise"}'
	REVOKED_AT=${EPOCHREALTIME/./}
	say "revoked with the API: $id, keyCompromise"
}

# CRL_NUMBER is the number of the list that has it.
crl_lists_device()
{
	local list

	curl -sSf -m 10 -o "$TEMP/crl" "$(device_crl_url)" 2>"$TEMP/said" &&
	list=$(openssl crl -inform DER -in "$TEMP/crl" -noout -text \
	    -crlnumber -CAfile "$DEVICE/ca.crt" 2>"$TEMP/said") &&
	grep -q '^verify OK' "$TEMP/said" || return 1
	CRL_NUMBER=$((16#$(sed -n 's/^crlNumber=\(0x\)\{0,1\}//p' <<<"$list")))
	echo "CRL $CRL_NUMBER does not list it" >"$TEMP/said"
	grep -q "Serial Number: $(device_serial)\$" <<<"$list"
}

# From the enrolment to the CRL, or on from where an earlier run ended.
device_job()
{
	local ms

	OCSP=
	! device_is_there || await 30 "an answer of OCSP" ocsp_answers
	if [ "$OCSP" = revoked ]; then
		await 30 "the entry in the CRL" crl_lists_device
		say "verified: serial $(device_serial) of the device is revoked:" \
		    "OCSP says so, CRL $CRL_NUMBER lists it"
		return
	fi
	[ "$OCSP" = good ] || enrol_device
	await 30 "a good OCSP answer" ocsp_is_good
	say "OCSP at $(device -ocsp_uri): good"
	revoke_device
	{ ocsp_answers && [ "$OCSP" = revoked ]; } ||
		die "OCSP does not say that it is revoked: $(cat "$TEMP/said")"
	say "OCSP, asked again: revoked"
	await 30 "the entry in the CRL" crl_lists_device
	ms=$(((${EPOCHREALTIME/./} - REVOKED_AT) / 1000))
	say "CRL at $(device_crl_url) lists it:" \
	    "number $CRL_NUMBER, $((ms / 1000)).$((ms % 1000 / 100)) s after" \
	    "the revocation"
}
