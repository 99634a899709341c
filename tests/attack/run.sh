#!/bin/bash
# sipvicious against the real server: svmap, svwar and svcrack, as Debian has them, learn that something speaks SIP there,
# and nothing else (docs/security.md). Everything on loopback, ports of its own, each tool bounded in time.
#
#   tests/attack/run.sh [path to switchbook]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
binary=$(realpath "${1:-$here/../../target/release/switchbook}")
work=$(mktemp -d)
server=
cleanup() {
	if [ -n "$server" ]; then kill -TERM "$server" 2> /dev/null && wait "$server" 2> /dev/null || true; fi
	rm -rf "$work"
}
trap cleanup EXIT
# The tools keep sessions in the home folder.
export HOME=$work/home
mkdir "$HOME"

port() { python3 -c 'import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
http() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
sip=$(port) http=$(http)
"$binary" serve --data "$work/data" --sip "127.0.0.1:$sip" --http "127.0.0.1:$http" --realm attack.test > "$work/server.log" 2>&1 &
server=$!
ask() { "$binary" --data "$work/data" "$@"; }
for _ in $(seq 100); do ask status > /dev/null 2>&1 && break; sleep 0.1; done

# Phones named like the extensions a scan tries first, and one password that stands in every dictionary.
for extension in 100 101 150 1000; do
	ask user add "u$extension" "User $extension" --number "$extension" --device "$extension=desk" > /dev/null 2>&1
done
echo "summer-2026" | ask device password 100 --password > /dev/null
echo "another-long-one" | ask device password 101 --password > /dev/null
position() { ask --json status | python3 -c 'import json, sys; print(json.load(sys.stdin)["health"]["position"])'; }
before=$(position)

passed=0 failed=0
ok() { passed=$((passed + 1)); echo "ok   $1"; }
fail() { failed=$((failed + 1)); echo "FAIL $1"; sed 's/^/     /' "$2" | tail -40; }
attack() { # FILE, command...: what it prints; a tool that does not end by itself is a failure of this script
	local out=$work/$1; shift
	local status=0
	timeout 120 "$@" > "$out" 2>&1 < /dev/null || status=$?
	if [ "$status" = 124 ]; then echo "TIMED OUT" >> "$out"; fi
}
# What a tool must have said, so that a tool that broke is not taken for one that learned nothing; and what it must not.
judge() { # STORY, FILE, what it must print, what it must not print
	if ! grep -Eq "$3" "$work/$2"; then fail "$1: the tool did not do its work" "$work/$2"
	elif grep -Eq "$4|Traceback|TIMED OUT" "$work/$2"; then fail "$1" "$work/$2"
	else ok "$1"; fi
}

attack svmap svmap -P "$(port)" -p "$sip" -b 127.0.0.1 -x 127.0.0.1 127.0.0.1
judge "svmap sees that something speaks SIP, and no name or version to look up" svmap "127\.0\.0\.1:$sip" "[Ss]witchbook|attack\.test"

for method in REGISTER INVITE OPTIONS; do
	attack "svwar-$method" svwar -P "$(port)" -p "$sip" -b 127.0.0.1 -x 127.0.0.1 -m "$method" --force -e 98-152,1000 --maximumtime=20 127.0.0.1
	judge "svwar by $method tells no extension from another" "svwar-$method" "found nothing" "\| *(100|101|150|1000) *\|"
done
attack svwar-plain svwar -P "$(port)" -p "$sip" -b 127.0.0.1 -x 127.0.0.1 -e 98-152 --maximumtime=20 127.0.0.1
judge "svwar gives up by itself: unknown extensions are asked for a password, too" svwar-plain "unknown extension|found nothing" "\| *(100|101|150) *\|"

{ for n in $(seq 200); do echo "guess-$n"; done; echo "summer-2026"; } > "$work/dictionary"
for name in 100 777; do
	attack "svcrack-$name" svcrack -P "$(port)" -p "$sip" -b 127.0.0.1 -x 127.0.0.1 -u "$name" -d "$work/dictionary" --maximumtime=20 127.0.0.1
done
judge "svcrack does not find a password that stands in its dictionary" svcrack-100 "found nothing" "summer-2026"
if cmp -s "$work/svcrack-100" "$work/svcrack-777"; then ok "svcrack hears the same of an extension that is and of one that is not"; else
	diff "$work/svcrack-100" "$work/svcrack-777" > "$work/diff" || true; fail "svcrack tells an extension that is from one that is not" "$work/diff"; fi

python3 -c 'import sys, urllib.request; print(urllib.request.urlopen("http://127.0.0.1:%s/metrics" % sys.argv[1], timeout=10).read().decode())' "$http" > "$work/metrics"
metric() { sed -n "s/^switchbook_$1_total //p" "$work/metrics"; }
if [ "$(metric wrong_passwords)" -ge 10 ] && [ "$(metric challenges)" -ge 10 ]; then ok "all of it was counted: $(metric wrong_passwords) wrong passwords, $(metric challenges) challenges"; else
	fail "the attacks were not counted: $(metric wrong_passwords) wrong passwords, $(metric challenges) challenges" "$work/metrics"; fi
if grep -q "wrong passwords source=127.0.0.1" "$work/server.log"; then ok "the log names the source"; else fail "the log is silent" "$work/server.log"; fi
after=$(position)
if [ "$before" = "$after" ]; then ok "none of it left an event in the book"; else
	ask audit history > "$work/history" 2>&1 || true; fail "the book went from $before to $after" "$work/history"; fi

# The same tool, with the right word first: it can do its work against this server, so what it did not find above it did
# not find because of us.
echo "another-long-one" > "$work/one"
attack svcrack-right svcrack -P "$(port)" -p "$sip" -b 127.0.0.1 -x 127.0.0.1 -u 101 -d "$work/one" --maximumtime=20 127.0.0.1
judge "svcrack is a tool that works: it knows a right password when it has it" svcrack-right "another-long-one" "nothing to forbid here"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
