#!/bin/bash
# Switchbook beside Kamailio in one run: digest REGISTER and authenticated calls, CPU microseconds per operation.
#
#   bench/against-kamailio.sh [FOLDER OF THE SIPP BENCH]      (default ../shared/bench)
#
# Needs sipp, kamailio with its sqlite module, sqlite3, python3. Everything runs on loopback, in a network namespace of
# its own when that is allowed. KAMAILIO=sqlite-wal lets Kamailio keep its bindings durably too (sqlite, write-ahead log) instead of in
# memory; only REGISTER is compared then, at 2,000/s. Both servers are pinned to one core, sipp to the other. USERS (10000), REG_RATE (4000, 2000),
# CALL_RATE (300), SECONDS_EACH (10), ROUNDS (3) can be set. Medians of ROUNDS are printed, and every single line before.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
sipp_bench=$(cd "${1:-$here/../shared/bench}" && pwd)
mode=${KAMAILIO:-memory}
[ "$mode" = memory ] && usual=4000 || usual=2000
users=${USERS:-10000} reg_rate=${REG_RATE:-$usual} call_rate=${CALL_RATE:-300}
seconds=${SECONDS_EACH:-10} rounds=${ROUNDS:-3}

. "$here/bench/common.sh"

others() { # PID WHO: the scenarios that are compared in memory only
	[ "$mode" = memory ] || return 0
	bench -P "$1" -x refresh.xml -o 10 -f "$work/users/users.csv" -r 200 -n $((200 * seconds)) | line "$2" | tee -a "$work/lines"
	bench -P "$1" -x uac-call-auth.xml -f "$work/users/calls.csv" -u 5080 -r "$call_rate" -n $((call_rate * seconds)) | line "$2" | tee -a "$work/lines"
}

for round in $(seq "$rounds"); do
	data="$work/data$round"
	start_switchbook "$data"
	begin=$(date +%s.%N)
	"$binary" --data "$data" apply "$work/users.jsonl" > /dev/null
	end=$(date +%s.%N)
	echo "switchbook scenario=apply users=$users wall_s=$(awk "BEGIN{printf \"%.2f\", $end-$begin}")"
	bench -P "$server" -x register.xml -f "$work/users/users.csv" -r "$reg_rate" -n "$users" | line switchbook | tee -a "$work/lines"
	others "$server" switchbook
	stop_switchbook

	kamailio="$sipp_bench/kamailio/kamailio.sh $work/kam $work/users/cred.sql $mode WITH_RR WITH_CALL_AUTH"
	bash -c "exec $kamailio" > "$work/kamailio.log" 2>&1 &
	server=$!
	sleep 3
	taskset -apc 0 "$server" > /dev/null 2>&1 || true
	for child in $(pgrep -P "$server"); do taskset -apc 0 "$child" > /dev/null 2>&1 || true; done
	bench -P "$server" -x register.xml -f "$work/users/users.csv" -r "$reg_rate" -n "$users" | line kamailio | tee -a "$work/lines"
	others "$server" kamailio
	stop_switchbook
done

python3 - "$work/lines" <<'PY'
import collections, re, statistics, sys
cost = collections.defaultdict(list)
for line in open(sys.argv[1]):
    who, fields = line.split(" ", 1)
    kv = dict(re.findall(r"(\w+)=(\S+)", fields))
    if "cpu_us_per_op" in kv:
        cost[kv["scenario"], who].append(float(kv["cpu_us_per_op"]))
print("\nCPU µs per operation, medians        switchbook   kamailio   ratio")
for scenario in sorted({s for s, _ in cost}):
    ours, theirs = (statistics.median(cost[scenario, who]) for who in ("switchbook", "kamailio"))
    print(f"{scenario:36} {ours:10.1f} {theirs:10.1f} {ours / theirs:7.2f}")
PY
