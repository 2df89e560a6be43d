# Turns sql/query/*.sql into an enum (mode=h) or the tables behind it (mode=c).
#
#	-- :name team_get	a statement, up to the next ":name" or ":list"
#	-- :audited		also prepared in the form that records the call
#	-- :also team_lock FOR UPDATE	the same once more, with an ending
#	-- :list certificates	a list; see lib/db/list.h
#	-- :where, :totals, :unique, :desc, :filter, :sort	its parts
#
# Other comment lines are dropped.

function quote(s) {
	gsub(/\\/, "\\\\", s)
	gsub(/"/, "\\\"", s)
	return "\"" s "\""
}

function squeeze(s) {
	gsub(/[ \t]+/, " ", s)
	sub(/^ /, "", s)
	sub(/ $/, "", s)
	sub(/;$/, "", s)
	return s
}

# The statement and, in the same one, the record of the call: status 404 if
# it found nothing.  Arguments of the record follow the statement's own.
function audited_form(sql, n,    p) {
	p = "$" (n + 1)
	return "WITH q AS (" sql "), a AS (INSERT INTO audit_events (actor, " \
	    "actor_type, action, resource_type, resource_id, details) " \
	    "SELECT $" (n + 1) ", $" (n + 2) ", $" (n + 3) ", 'api', $" (n + 4) \
	    ", jsonb_build_object('method', $" (n + 5) "::text, 'path', $" \
	    (n + 4) "::text, 'body_hash', $" (n + 6) "::text, 'status', " \
	    "CASE WHEN EXISTS (SELECT FROM q) THEN 200 ELSE 404 END, " \
	    "'latency_ms', (date_part('epoch', clock_timestamp()) * 1000 - $" \
	    (n + 7) "::float8)::integer) " \
	    "RETURNING set_config('synchronous_commit', 'off', true)) " \
	    "SELECT q.* FROM q"
}

function max_arg(sql,    s, n, v) {
	s = sql
	n = 0
	while (match(s, /\$[0-9]+/)) {
		v = substr(s, RSTART + 1, RLENGTH - 1) + 0
		if (v > n)
			n = v
		s = substr(s, RSTART + RLENGTH)
	}
	return n
}

function statement(name, sql, audited,    n) {
	enums = enums "\tQ_" toupper(name) ",\n"
	n = max_arg(sql)
	table = table "\t[Q_" toupper(name) "] = {\n\t\t.name = " \
	    quote(name) ",\n\t\t.nargs = " n ",\n\t\t.sql = " \
	    quote(sql) ",\n"
	if (audited)
		table = table "\t\t.audited = " quote(audited_form(sql, n)) ",\n"
	table = table "\t},\n"
}

function flush_one(    sql, i) {
	sql = squeeze(body)
	if (kind == "name") {
		statement(name, sql, audited)
		if (also != "")
			statement(also, sql " " ending, 0)
	} else if (kind == "list") {
		i = index(sql, " \001FROM ")
		externs = externs "extern const struct list list_" name ";\n"
		lists = lists "const struct list list_" name " = {\n" \
		    "\t.name = " quote(name) ",\n" \
		    "\t.select = " quote(substr(sql, 1, i - 1)) ",\n" \
		    "\t.from = " quote(substr(sql, i + 2)) ",\n" \
		    parts "\t.filters = {\n" filters "\t},\n" \
		    "\t.sorts = {\n" sorts "\t},\n};\n\n"
		all = all "\t&list_" name ",\n"
	}
	kind = body = also = parts = filters = sorts = ""
	audited = 0
}

/^-- :(name|list) / {
	flush_one()
	kind = substr($2, 2)
	name = $3
	next
}
/^-- :audited/ { audited = 1; next }
/^-- :also / {
	also = $3
	ending = $0
	sub(/^-- :also +[^ ]+ +/, "", ending)
	next
}
/^-- :desc/ { parts = parts "\t.desc = true,\n"; next }
/^-- :(where|totals|unique) / {
	part = substr($2, 2)
	line = $0
	sub(/^-- :[a-z]+ +/, "", line)
	parts = parts "\t." part " = " quote(line) ",\n"
	next
}
# -- :filter [+] NAME TYPE CONDITION
/^-- :filter / {
	line = $0
	sub(/^-- :filter +/, "", line)
	counted = "false"
	if (line ~ /^\+/) {
		counted = "true"
		sub(/^\+ +/, "", line)
	}
	split(line, w, /[ \t]+/)
	sub(/^[^ \t]+[ \t]+[^ \t]+[ \t]+/, "", line)
	filters = filters "\t\t{ " quote(w[1]) ", " quote(line) ", " \
	    quote(w[2]) ", " counted " },\n"
	next
}
# -- :sort NAME TYPE EXPRESSION
/^-- :sort / {
	line = $0
	sub(/^-- :sort +/, "", line)
	split(line, w, /[ \t]+/)
	sub(/^[^ \t]+[ \t]+[^ \t]+[ \t]+/, "", line)
	sorts = sorts "\t\t{ " quote(w[1]) ", " quote(line) ", " \
	    quote(w[2]) " },\n"
	next
}
/^--/ { next }
# Where a list's rows come from begins a line, unlike the FROM of a subquery.
kind == "list" && /^FROM / { body = body " \001" $0; next }
{ body = body " " $0 }

END {
	flush_one()
	if (mode == "h") {
		print "/* Made from sql/query/. */"
		print "#ifndef CERTCTL_DB_QUERIES_H"
		print "#define CERTCTL_DB_QUERIES_H\n"
		print "enum query {\n" enums "\tQ__MAX\n};\n"
		print "struct query_text {"
		print "\tconst char *name, *sql, *audited;"
		print "\tint nargs;\n};\n"
		print "extern const struct query_text query_texts[Q__MAX];\n"
		print "struct list;"
		print externs "extern const struct list *const lists[];\n"
		print "#endif"
	} else {
		print "/* Made from sql/query/. */"
		print "#include \"db/list.h\"\n"
		print "const struct query_text query_texts[Q__MAX] = {"
		print table "};\n"
		print lists "const struct list *const lists[] = {\n" all \
		    "\tNULL\n};"
	}
}
