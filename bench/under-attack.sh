#!/bin/bash
# How well-behaved phones fare while somebody attacks: the attack list's lines that speak of time, as one table. Real server,
# release, default settings, a book on disk; everything on loopback.
#
#   bench/under-attack.sh [SECONDS EACH]      (default 10; PHONES=5000 can be set)
#
# First the time from a phone's first REGISTER to its 200 while one other source sends INVITEs or REGISTERs without pause
# (goal: under 100 ms); then whether the time of an answer tells a name that exists from one that does not (goal: medians
# within 1 ms); then OPTIONS between damaged messages (goal: under 100 ms), and what the server's memory did. "repeated" are
# requests that UDP lost, sent again after half a second as RFC 3261 says.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-10} phones=${PHONES:-5000}
cargo build --release --quiet -p switchbook
cargo build --release --quiet -p switchbook-sip-adapter --example under_attack
binary=target/release/switchbook
work=$(mktemp -d)
server=
cleanup() {
	if [ -n "$server" ]; then kill -TERM "$server" 2> /dev/null && wait "$server" 2> /dev/null || true; fi
	rm -rf "$work"
}
trap cleanup EXIT
"$binary" serve --data "$work/data" --sip 127.0.0.1:0 --http none --realm bench.test > "$work/server.log" 2>&1 &
server=$!
for _ in $(seq 100); do "$binary" --data "$work/data" status > /dev/null 2>&1 && break; sleep 0.1; done
for n in $(seq 0 $((phones - 1))); do
	echo "{\"command\":\"user.add\",\"username\":\"u$n\",\"display_name\":\"U $n\",\"numbers\":[\"$((100000 + n))\"],\"devices\":[{\"name\":\"b$n\",\"type\":\"desk\",\"password\":\"bench-secret\"}]}"
done > "$work/phones.jsonl"
"$binary" --data "$work/data" apply "$work/phones.jsonl" > /dev/null 2>&1
sip=$("$binary" --data "$work/data" --json status | sed -n 's/^ *"sip": "\(.*\)",\{0,1\}$/\1/p')
memory() { sed -n 's/^VmRSS:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$server/status"; }
before=$(memory)
echo "$(nproc) cores, load $(cut -d' ' -f1 /proc/loadavg) before; $phones phones; server at udp:$sip"
timeout $((seconds * 8 + 120)) target/release/examples/under_attack "$sip" bench.test "$phones" "$seconds"
printf 'memory of the server: %d MiB before, %d MiB after\n' $((before / 1024)) $(($(memory) / 1024))
