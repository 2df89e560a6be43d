# Turns sql/schema/NNNN_*.sql into a table of migrations, and every other file
# sql/NAME.sql into the text NAME_sql.

function quote_line(s) {
	gsub(/\\/, "\\\\", s)
	gsub(/"/, "\\\"", s)
	return "\t    \"" s "\\n\"\n"
}

# A migration notes itself: both happen, or neither.
function note(version, file) {
	return quote_line("INSERT INTO schema_migrations (version, name) " \
	    "VALUES (" version ", '" file "');")
}

function flush_one() {
	if (file == "")
		return
	if (file !~ /^[0-9]/) {
		sub(/\.sql$/, "_sql", file)
		texts = texts "\nconst char " file "[] =\n" text "\t    ;\n"
		return
	}
	version = substr(file, 1, 4) + 0
	table = table "\t{ " version ", \"" file "\",\n" text \
	    note(version, file) "\t},\n"
}

FNR == 1 {
	flush_one()
	file = FILENAME
	sub(/.*\//, "", file)
	text = ""
}
{ text = text quote_line($0) }

END {
	flush_one()
	print "/* Made from sql/. */"
	print "#include \"db/schema.h\"\n"
	print "const struct migration migrations[] = {"
	print table "\t{ 0, 0, 0 },\n};"
	printf "%s", texts
}
