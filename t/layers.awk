# Hold every #include to lib/LAYERS.
#
#	awk -f t/layers.awk lib/LAYERS FILE...
#
# The file of a source decides its room: the longest room name that begins its
# path below lib/ or the top.  An include of a room must be in the room's row;
# an include of a foreign library must name a room of its "<" row.

function complain(what)
{
	printf "%s:%d: %s\n", FILENAME, FNR, what
	bad++
}

# The room that PATH lies in, "" if none.
function room_of(path,    r, found)
{
	for (r in rows)
		if (index(path, r "/") == 1 && length(r) > length(found))
			found = r
	return found
}

function check_own(path,    room)
{
	room = room_of(path)
	if (room == "") {
		# A file beside this one.
		if (path ~ /\//)
			complain("\"" path "\" is in no room of lib/LAYERS")
		return
	}
	if (index(rows[here], " " room " ") == 0)
		complain(here " may not include " room)
}

function check_foreign(path,    prefix)
{
	for (prefix in foreign)
		if (index(path, prefix) == 1 &&
		    index(foreign[prefix], " " here " ") == 0)
			complain("<" path "> is met in" foreign[prefix] "only")
}

FNR == 1 {
	layers = FILENAME ~ /LAYERS$/
	path = FILENAME
	sub(/^\.\//, "", path)
	sub(/^lib\//, "", path)
	here = layers ? "" : room_of(path)
}

layers && /^[^#]/ {
	name = $1
	$1 = ""
	if (sub(/^</, "", name))
		foreign[name] = $0 " "
	else
		rows[name] = $0 " "
	next
}

!layers && here == "" && FNR == 1 {
	complain("this file is in no room of lib/LAYERS")
}

!layers && here != "" && /^[ \t]*#[ \t]*include[ \t]*["<]/ {
	path = $0
	own = path ~ /^[^"<]*"/
	sub(/^[^"<]*["<]/, "", path)
	sub(/[">].*/, "", path)
	checked++
	if (own)
		check_own(path)
	else
		check_foreign(path)
}

END {
	printf "%d includes checked, %d forbidden\n", checked, bad
	exit bad > 0 || checked == 0
}
