-- Load for t/bench, by wrk:
--
--	wrk ... -s load.lua URL -- bare|product OPERATION KEY CERTIFICATES \
--	    [OCSP-BEFORE OCSP-BEHIND | FILE-OF-CSRS]
--
-- Prints one line for t/bench/run to read:
--	requests microseconds p50 p99 max refused broken
-- refused counts the answers of 400 and above, broken what connections
-- suffered.

local AGENTS, VARIANTS = 1000, 4096
-- Of OCSP: requests a thread, and certificates that the web server keeps.
local ASKED, KEPT = 16384, 1000
local STATUSES = { "Active", "Expiring" }
local thread_number, certificates = 0, 0

local function any_certificate()
	return string.format("cert-bench-%d", math.random(certificates))
end

local function any_agent()
	return string.format("agent-bench-%d", math.random(AGENTS))
end

local function any_status()
	return STATUSES[math.random(#STATUSES)]
end

-- What OPERATION asks for about ID, by the product's wire contract.
local product = {
	echo = { id = any_status, method = "GET", path = "/health" },
	get = { id = any_certificate, method = "GET",
	    path = "/api/v1/certificates/%s" },
	list = { id = any_status, method = "GET",
	    path = "/api/v1/certificates?status=%s&sort=notAfter&per_page=50" },
	poll = { id = any_agent, method = "GET", agent = true,
	    path = "/api/v1/agents/%s/work" },
	heartbeat = { id = any_agent, method = "POST", agent = true,
	    path = "/api/v1/agents/%s/heartbeat",
	    body = '{"version":"2.1.0","hostname":"host.example.org",' ..
	    '"os":"linux","architecture":"amd64","ip_address":"192.0.2.1"}' },
	create = { id = any_status, method = "POST",
	    path = "/api/v1/certificates",
	    body = '{"name":"%s","common_name":"bench.example.org",' ..
	    '"sans":["bench.example.org"],"environment":"production",' ..
	    '"owner_id":"o-bench","team_id":"t-bench",' ..
	    '"issuer_id":"iss-local","renewal_policy_id":"rp-default",' ..
	    '"target_ids":["tgt-bench"]}' },
}

local requests, side, op, key, created, run = {}, nil, nil, nil, 0, nil

-- OCSP requests: what stands before the serial number, and what behind it.
-- Both are made by t/bench/run, in hex.
local ocsp = {
	["ocsp-get-cached"] = { method = "GET", few = "/bare/answer/%d" },
	["ocsp-get-file"] = { method = "GET", few = "/static/%d.der" },
	["ocsp-get"] = { method = "GET" },
	["ocsp-post"] = { method = "POST", nonce = true },
}

local function unhex(s)
	return (s:gsub("..", function(h)
		return string.char(tonumber(h, 16))
	end))
end

local ALPHABET =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function base64(s)
	local out = {}

	for i = 1, #s, 3 do
		local a, b, c = s:byte(i, i + 2)
		local n = a * 65536 + (b or 0) * 256 + (c or 0)

		for k = 3, 0, -1 do
			local v = math.floor(n / 64 ^ k) % 64 + 1
			out[#out + 1] = ALPHABET:sub(v, v)
		end
	end
	local text = table.concat(out)
	local pad = (3 - #s % 3) % 3
	return text:sub(1, #text - pad) .. ("="):rep(pad)
end

-- A request for one of the certificates; if FEW of KEPT of them, where the
-- bare side has as many answers.
local function make_ocsp(name, o, before, behind, most)
	local n = math.random(o.few and KEPT or most)
	local serial = string.format("10%038x", n)
	local der

	if side == "bare" then
		return wrk.format("GET", o.few and o.few:format(n % KEPT) or
		    "/bare/" .. name .. "/" .. serial)
	end
	der = unhex(before .. serial)
	if o.nonce then
		der = der .. unhex(behind)
		for _ = 1, 16 do
			der = der .. string.char(math.random(0, 255))
		end
		return wrk.format("POST", "/.well-known/pki/ocsp/iss-local",
		    { ["Content-Type"] = "application/ocsp-request" }, der)
	end
	return wrk.format("GET", "/.well-known/pki/ocsp/iss-local/" ..
	    base64(der):gsub("[+/=]", { ["+"] = "%2B", ["/"] = "%2F",
	    ["="] = "%3D" }))
end

-- Enrolments, one for each CSR in FILE, of which each thread takes its half.
local function make_enrolments(file)
	local path = side == "bare" and "/bare/est/x" or
	    "/.well-known/est/demo/simpleenroll"
	local headers = { ["Content-Type"] = "application/pkcs10",
	    ["Authorization"] = "Basic " .. key }
	local n = 0

	for line in io.lines(file) do
		n = n + 1
		if n % 2 == number % 2 then
			requests[#requests + 1] = wrk.format("POST", path,
			    headers, line)
		end
	end
end

function setup(thread)
	thread_number = thread_number + 1
	thread:set("number", thread_number)
end

local function headers_of(op, id, key)
	local h = {}

	-- The key of a seeded agent is made of its id.
	h["Authorization"] = "Bearer " .. (op.agent and "key-of-" .. id or key)
	if op.body then
		h["Content-Type"] = "application/json"
	end
	return h
end

local function make_create()
	created = created + 1
	return wrk.format("POST", op.path, headers_of(op, nil, key),
	    op.body:format(string.format("bench-%s-%d-%d", run, number,
	    created)))
end

local function make_request(name)
	local id = op.id()

	if side == "bare" then
		return wrk.format(op.method, "/bare/" .. name .. "/" .. id,
		    headers_of(op, id, key), op.body)
	end
	return wrk.format(op.method, op.path:format(id),
	    headers_of(op, id, key), op.body)
end

function init(args)
	side, key, certificates = args[1], args[3], tonumber(args[4])
	op = product[args[2]]
	run = tostring(os.time()) .. math.floor(os.clock() * 1e6)
	math.randomseed(os.time() * 100 + number)
	if args[2] == "est" then
		make_enrolments(args[5])
		return
	end
	for i = 1, ocsp[args[2]] and ASKED or VARIANTS do
		requests[i] = ocsp[args[2]] and make_ocsp(args[2],
		    ocsp[args[2]], args[5], args[6], certificates) or
		    make_request(args[2])
	end
	if args[2] == "create" and side == "product" then
		requests = nil
	end
end

local next_one = 0

function request()
	if not requests then
		return make_create()
	end
	next_one = next_one % #requests + 1
	return requests[next_one]
end

function done(summary, latency, _)
	local e = summary.errors

	io.write(string.format("RESULT %d %d %d %d %d %d %d\n",
	    summary.requests, summary.duration, latency:percentile(50),
	    latency:percentile(99), latency.max, e.status,
	    e.connect + e.read + e.write + e.timeout))
end
