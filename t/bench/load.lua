-- Load for t/bench, by wrk:
--
--	wrk ... -s load.lua URL -- bare|product OPERATION KEY CERTIFICATES
--
-- Prints one line for t/bench/run to read:
--	requests microseconds p50 p99 max refused broken
-- refused counts the answers of 400 and above, broken what connections
-- suffered.

local AGENTS, VARIANTS = 1000, 4096
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

local requests, side, op, key, created, run = {}, nil, nil, nil, 0, nil

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
	for i = 1, VARIANTS do
		requests[i] = make_request(args[2])
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
	next_one = next_one % VARIANTS + 1
	return requests[next_one]
end

function done(summary, latency, _)
	local e = summary.errors

	io.write(string.format("RESULT %d %d %d %d %d %d %d\n",
	    summary.requests, summary.duration, latency:percentile(50),
	    latency:percentile(99), latency.max, e.status,
	    e.connect + e.read + e.write + e.timeout))
end
