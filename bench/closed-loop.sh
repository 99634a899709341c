#!/bin/bash
# Digest REGISTER in a closed loop: 50 and 500 phones, each of which registers the moment another is through, and beside it
# what the disk allows. Every registration is a new binding, in the book and on disk before its 200.
#
#   bench/closed-loop.sh [FOLDER OF THE SIPP BENCH]      (default ../shared/bench)
#
# Two clients, in turn: sipp, which opens calls at ticks of its clock, and phones of our own (switchbook-bench closed-loop), which
# ask the moment another is through. Kamailio with its bindings in memory is measured beside both, when it is there.
#
# Needs sipp, python3; kamailio and sqlite3 for the comparison. Everything on loopback, in a network namespace of its own when that is allowed; the server pinned to one
# core, sipp to the other, as in against-kamailio.sh. USERS (20000) registrations a round, LOOPS ("50 500"), ROUNDS (3) can be
# set. ok=0 in a line says that something was sent twice or failed. The disk: a bare program that writes 4 KiB and calls
# fdatasync, before and after, into the folder that holds the book.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
sipp_bench=$(cd "${1:-$here/../shared/bench}" && pwd)
users=${USERS:-20000} loops=${LOOPS:-50 500} rounds=${ROUNDS:-3}

. "$here/bench/common.sh"

disk() {
	python3 - "$work/disk" <<'PY'
import os, sys, time
file = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)
os.pwrite(file, bytes(4096 * 1000), 0)
os.fsync(file)
block, times, began = b"x" * 4096, 0, time.monotonic()
while time.monotonic() - began < 3:
    os.pwrite(file, block, 4096 * (times % 1000))
    os.fdatasync(file)
    times += 1
print("disk scenario=fdatasync per_s=%.0f" % (times / (time.monotonic() - began)))
PY
}

phones=${SWITCHBOOK_BENCH:-$here/target/release/switchbook-bench}
[ -x "$phones" ] || { echo "build first: cargo build --release --workspace" >&2; exit 2; }
phones="taskset -c 1 $phones --json closed-loop 127.0.0.1:5060 --users $users"
# Processor time of the server, in µs, and of the phones; as a line of the bench with sipp.
our_phones() { # LOOP
	local before after
	before=$("$sipp_bench/procstat.py" "$server")
	$phones --phones "$1" > "$work/ours.json"
	after=$("$sipp_bench/procstat.py" "$server")
	python3 - "$work/ours.json" "$before" "$after" <<'PY'
import json, sys
row = json.load(open(sys.argv[1]))["rows"][0]
kv = lambda s: {k: int(v) for k, v in (x.split("=") for x in s.split())}
cpu = kv(sys.argv[3])["cpu_us"] - kv(sys.argv[2])["cpu_us"]
n, wall = row["registrations"], row["seconds"]
print("scenario=phones completed=%d wall_s=%.2f rate=%.0f cpu_us_per_op=%.1f server_cpu=%.0f%% retransmissions=%d"
      % (n, wall, n / wall, cpu / n, 100 * cpu / 1e6 / wall, row["sent twice"]))
PY
}
sipp_phones() { bench -P "$server" -x register.xml -f "$work/users/users.csv" -r 100000 -l "$1" -n "$users"; }
start_kamailio() {
	bash -c "exec $sipp_bench/kamailio/kamailio.sh $work/kam $work/users/cred.sql memory" > "$work/kamailio.log" 2>&1 &
	server=$!
	sleep 3
	for process in "$server" $(pgrep -P "$server"); do taskset -apc 0 "$process" > /dev/null 2>&1 || true; done
}

disk | tee "$work/lines"
for round in $(seq "$rounds"); do
	for loop in $loops; do
		for client in sipp our; do
			data="$work/data$round-$loop-$client"
			start_switchbook "$data"
			"$binary" --data "$data" apply "$work/users.jsonl" > /dev/null
			"${client}_phones" "$loop" | line "switchbook-$client-$loop" | tee -a "$work/lines"
			stop_switchbook
			# Events counted are bindings: every registration must stand in the book.
			bound=$("$binary" --data "$data" --json audit history --kind PhoneRegistered --limit $((users + 1)) | { grep -o '"PhoneRegistered"' || true; } | wc -l)
			echo "book-$client-$loop scenario=bindings events=$bound of=$users" | tee -a "$work/lines"
			rm -rf "$data"
			command -v kamailio > /dev/null && command -v sqlite3 > /dev/null || continue
			start_kamailio
			"${client}_phones" "$loop" | line "kamailio-$client-$loop" | tee -a "$work/lines"
			stop_switchbook
		done
	done
done
disk | tee -a "$work/lines"

python3 - "$work/lines" <<'PY'
import collections, re, statistics, sys
rows, syncs = collections.defaultdict(list), []
for line in open(sys.argv[1]):
    who, fields = line.split(" ", 1)
    kv = dict(re.findall(r"(\w+)=(\S+)", fields))
    if who == "disk":
        syncs.append(float(kv["per_s"]))
    elif not who.startswith("book"):
        server, client, loop = who.split("-")
        rows[int(loop), {"sipp": "sipp", "our": "ours"}[client], server].append(kv)
print("\nphones at once  client  server       registrations/s   CPU µs each   busy   sent twice   (medians; goal 10000/s)")
for (loop, client, server), lines in sorted(rows.items(), key=lambda row: (row[0][0], row[0][1], row[0][2] != "switchbook")):
    m = lambda key: statistics.median(float(kv[key].rstrip("%")) for kv in lines)
    print(f"{loop:14}  {client:6}  {server:10} {m('rate'):17.0f} {m('cpu_us_per_op'):13.1f} {m('server_cpu'):5.0f}% {m('retransmissions'):12.0f}")
print("the disk alone: %s fdatasyncs/s (before, after)" % ", ".join("%.0f" % s for s in syncs))
PY
