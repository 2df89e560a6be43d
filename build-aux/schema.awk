# Turns sql/schema/NNNN_*.sql and sql/grants.sql into a table of migrations.

function quote_line(s) {
	gsub(/\\/, "\\\\", s)
	gsub(/"/, "\\\"", s)
	return "\t    \"" s "\\n\"\n"
}

function flush_one() {
	if (file == "")
		return
	if (file == "grants.sql")
		grants = text
	else
		table = table "\t{ " (substr(file, 1, 4) + 0) ", \"" file \
		    "\",\n" text "\t},\n"
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
	print "/* Made from sql/schema/ and sql/grants.sql. */"
	print "#include \"db/schema.h\"\n"
	print "const struct migration migrations[] = {"
	print table "\t{ 0, 0, 0 },\n};\n"
	print "const char grants_sql[] =\n" grants "    ;"
}
