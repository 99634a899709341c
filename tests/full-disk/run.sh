#!/bin/bash
# A disk that is really full: the server on a file system of a few megabytes (tmpfs, so this needs root or the right to
# mount). Commands are refused in words, phones refresh and call on, and service returns by itself when there is room.
#
#   tests/full-disk/run.sh [path to switchbook]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
binary=$(realpath "${1:-$here/../../target/release/switchbook}")
if [ -z "${SWITCHBOOK_MOUNTED:-}" ]; then
	# A name space of its own: whatever happens, the mount is gone with it.
	[ "$(id -u)" = 0 ] && own=-m || own=-rm
	SWITCHBOOK_MOUNTED=1 exec unshare $own "$0" "$binary"
fi
sipp_files=$here/../sipp
work=$(mktemp -d)
server=
uas=
cleanup() {
	[ -n "$uas" ] && kill "$uas" 2> /dev/null
	[ -n "$server" ] && kill -TERM "$server" 2> /dev/null && wait "$server" 2> /dev/null
	umount "$work/disk" 2> /dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT
mkdir "$work/disk"
mount -t tmpfs -o size=24m none "$work/disk"
data=$work/disk/data

port() { python3 -c 'import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
sip=$(port) caller=$(port) callee=$(port) phones=$(port)
ask() { "$binary" --data "$data" "$@"; }
fail() { echo "FAIL $*"; tail -20 "$work/server.log"; exit 1; }
writable() { ask --json status | python3 -c 'import json,sys; sys.exit(0 if json.load(sys.stdin)["health"]["ok"] else 1)'; }
scenario() { # NAME, sipp arguments...
	name=$1; shift
	timeout 60 sipp -nostdin -i 127.0.0.1 -p "$caller" -key cport "$callee" -trace_err -error_file "$work/$name.err" \
		-sf "$sipp_files/$name.xml" "$@" "127.0.0.1:$sip" > "$work/$name.screen" 2>&1 ||
		{ tail -30 "$work/$name.screen"; fail "$name"; }
	echo "ok   $name"
}

"$sipp_files/users.py" 50 "$work"
"$binary" serve --data "$data" --sip "127.0.0.1:$sip" --http none --realm bench.test > "$work/server.log" 2>&1 &
server=$!
for _ in $(seq 100); do ask status > /dev/null 2>&1 && break; sleep 0.1; done
ask apply "$work/users.jsonl" > /dev/null
# Phones that registered before, and go on refreshing for 25 seconds whatever happens.
timeout 60 sipp -nostdin -i 127.0.0.1 -p "$phones" -key cport "$callee" -trace_err -error_file "$work/refresh.err" \
	-sf "$here/refresh.xml" -inf "$work/users.csv" -r 100 -m 50 "127.0.0.1:$sip" > "$work/refresh.screen" 2>&1 &
refreshing=$!
registered() { ask --json status | python3 -c 'import json,sys; print(json.load(sys.stdin)["registered"])'; }
for _ in $(seq 50); do [ "$(registered)" = 50 ] && break; sleep 0.1; done
[ "$(registered)" = 50 ] || fail "only $(registered) phones registered"

dd if=/dev/zero of="$work/disk/filler" bs=4k status=none 2> /dev/null || true
user=$(python3 -c 'import json,sys; print(json.loads(open(sys.argv[1]).readline())["username"])' "$work/users.jsonl")
refused=
for n in $(seq 2000); do
	[ $((n % 2)) = 0 ] && on=on || on=off
	if ! ask user dnd "$user" $on > /dev/null 2> "$work/refused"; then
		refused=$n
		break
	fi
done
[ -n "$refused" ] || fail "nothing was refused although the disk is full"
ask user dnd "$user" on > /dev/null 2> "$work/refused" && fail "the second command was not refused"
grep -q "BOOK_READ_ONLY" "$work/refused" && grep -q "No space left" "$work/refused" || { cat "$work/refused"; fail "the refusal does not say why"; }
echo "ok   commands are refused: $(cut -c1-120 "$work/refused")"
writable && fail "the status says that the book is written"
kill -0 "$refreshing" || fail "the phones were done before the disk was full"
wait "$refreshing" || { tail -30 "$work/refresh.screen"; cat "$work/refresh.err"; fail "a phone was not refreshed"; }
writable && fail "the disk was not full to the end"
echo "ok   50 phones refreshed on a full disk"
sipp -nostdin -i 127.0.0.1 -p "$callee" -sf "$sipp_files/uas.xml" > /dev/null 2>&1 &
uas=$!
sleep 0.5
scenario uac-call-auth -inf "$work/calls.csv" -r 10 -m 20 -d 200
echo "ok   20 calls on a full disk"

rm "$work/disk/filler"
for _ in $(seq 300); do writable && break; sleep 0.1; done
writable || fail "service did not return by itself"
ask user dnd "$user" on > /dev/null || fail "a command is still refused"
ask user dnd "$user" off > /dev/null || fail "a command is still refused"
echo "ok   service returned by itself when there was room"
kill -TERM "$server" && wait "$server" || fail "the server did not stop properly"
server=
"$binary" --data "$data" audit history --limit 100000 > "$work/history" || fail "the book cannot be read afterwards"
echo "ok   the book reads from beginning to end: $(wc -l < "$work/history") lines"
