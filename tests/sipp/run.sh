#!/bin/bash
# The load scenarios at a small load, for correctness: every call and every registration must succeed, nothing sent twice
# for want of an answer. Figures are bench/against-kamailio.sh's business.
#
#   tests/sipp/run.sh [path to switchbook]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
binary=$(realpath "${1:-$here/../../target/release/switchbook}")
work=$(mktemp -d)
server=
uas=
cleanup() {
	[ -n "$uas" ] && kill "$uas" 2>/dev/null
	[ -n "$server" ] && kill -TERM "$server" 2>/dev/null && wait "$server" 2>/dev/null
	rm -rf "$work"
}
trap cleanup EXIT

port() { python3 -c 'import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
sip=$(port) caller=$(port) callee=$(port)

"$here/users.py" 200 "$work"
"$binary" serve --data "$work/data" --sip "127.0.0.1:$sip" --http none --realm bench.test > "$work/server.log" 2>&1 &
server=$!
for _ in $(seq 100); do "$binary" --data "$work/data" status > /dev/null 2>&1 && break; sleep 0.1; done
"$binary" --data "$work/data" apply "$work/users.jsonl"

passed=0 failed=0
scenario() { # NAME, sipp arguments...
	name=$1; shift
	if timeout 60 sipp -nostdin -i 127.0.0.1 -p "$caller" -key cport "$callee" -trace_err -error_file "$work/$name.err" \
		-sf "$here/$name.xml" "$@" "127.0.0.1:$sip" > "$work/$name.screen" 2>&1; then
		passed=$((passed + 1)); echo "ok   $name"
	else
		failed=$((failed + 1)); echo "FAIL $name"; tail -40 "$work/$name.screen"; head -40 "$work/$name.err" 2>/dev/null || true
	fi
}
scenario register -inf "$work/users.csv" -r 100 -m 200
scenario refresh -inf "$work/users.csv" -r 50 -m 100
sipp -nostdin -i 127.0.0.1 -p "$callee" -sf "$here/uas.xml" > /dev/null 2>&1 &
uas=$!
sleep 0.5
scenario uac-call-auth -inf "$work/calls.csv" -r 30 -m 100 -d 300
"$binary" --data "$work/data" --json call list --limit 200 > "$work/calls.json"
ended=$(python3 -c 'import json,sys; print(sum(1 for c in json.load(open(sys.argv[1]))["calls"] if c["answered_by"] and c["seconds"] is not None))' "$work/calls.json")
if [ "$ended" = 100 ]; then passed=$((passed + 1)); echo "ok   100 answered and ended calls are in the book"; else
	failed=$((failed + 1)); echo "FAIL $ended of 100 calls are in the book as answered and ended"; fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
