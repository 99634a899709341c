#!/bin/bash
# Digest REGISTER in a closed loop: 50 and 500 phones, each of which registers the moment another is through, and beside it
# what the disk allows. Every registration is a new binding, in the book and on disk before its 200.
#
#   bench/closed-loop.sh [FOLDER OF THE SIPP BENCH]      (default ../shared/bench)
#
# Needs sipp, python3. Everything on loopback, in a network namespace of its own when that is allowed; the server pinned to one
# core, sipp to the other, as in against-kamailio.sh. USERS (20000) registrations a round, LOOPS ("50 500"), ROUNDS (3) can be
# set. ok=0 in a line says that something was sent twice or failed. The disk: a bare program that writes 4 KiB and calls
# fdatasync, before and after, into the folder that holds the book.
set -eu
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

disk | tee "$work/lines"
for round in $(seq "$rounds"); do
	for loop in $loops; do
		data="$work/data$round-$loop"
		start_switchbook "$data"
		"$binary" --data "$data" apply "$work/users.jsonl" > /dev/null
		bench -P "$server" -x register.xml -f "$work/users/users.csv" -r 100000 -l "$loop" -n "$users" | line "loop-$loop"
		stop_switchbook
		# Events counted are bindings: every registration must stand in the book.
		bound=$("$binary" --data "$data" --json audit history --kind PhoneRegistered --limit $((users + 1)) | grep -o '"PhoneRegistered"' | wc -l)
		echo "book-$loop scenario=bindings events=$bound of=$users"
		rm -rf "$data"
	done
done | tee -a "$work/lines"
disk | tee -a "$work/lines"

python3 - "$work/lines" <<'PY'
import collections, re, statistics, sys
rows, syncs = collections.defaultdict(list), []
for line in open(sys.argv[1]):
    who, fields = line.split(" ", 1)
    kv = dict(re.findall(r"(\w+)=(\S+)", fields))
    if who == "disk":
        syncs.append(float(kv["per_s"]))
    elif who.startswith("loop-"):
        rows[int(who[5:])].append(kv)
print("\nphones at once   registrations/s   CPU µs each   server   sipp   sent twice   (medians; goal 10000/s)")
for loop, lines in sorted(rows.items()):
    m = lambda key: statistics.median(float(kv[key].rstrip("%")) for kv in lines)
    print(f"{loop:14} {m('rate'):17.0f} {m('cpu_us_per_op'):13.1f} {m('server_cpu'):7.0f}% {m('sipp_cpu'):5.0f}% {m('retransmissions'):12.0f}")
print("the disk alone: %s fdatasyncs/s (before, after)" % ", ".join("%.0f" % s for s in syncs))
PY
