# What the benches with sipp share; sourced by them, once `here`, `sipp_bench` and `users` are set. Gives a network namespace of
# its own where that is allowed, a folder `work` that is removed at the end, users for sipp and for `apply`, and the server on
# one core.
# shellcheck shell=bash disable=SC2154

if [ -z "${SWITCHBOOK_BENCH_NS:-}" ] && unshare -n true 2>/dev/null; then
	SWITCHBOOK_BENCH_NS=1 exec unshare -n bash -c 'ip link set lo up 2>/dev/null || ifconfig lo up; exec "$@"' _ "$0" "$sipp_bench"
fi

binary=${SWITCHBOOK:-$here/target/release/switchbook}
[ -x "$binary" ] || { echo "build first: cargo build --release" >&2; exit 2; }
# Beside the sources and not in /tmp, which may be memory.
work=$(mktemp -d -p "${WORK:-$here/target}")
server=
cleanup() {
	if [ -n "$server" ]; then kill -TERM "$server" 2>/dev/null && wait "$server" 2>/dev/null || true; fi
	rm -rf "$work"
}
trap cleanup EXIT

"$sipp_bench/gen_users.py" "$users" "$work/users" bench.test
python3 - "$work/users/cred.csv" "$work/users.jsonl" <<'PY'
import csv, json, sys
with open(sys.argv[2], "w") as out:
    for name, password, _ in csv.reader(open(sys.argv[1])):
        device = {"name": name, "type": "desk", "password": password}
        out.write(json.dumps({"command": "user.add", "username": "u" + name, "display_name": "User " + name,
                              "numbers": [name], "devices": [device]}) + "\n")
PY

start_switchbook() { # DATA
	taskset -c 0 "$binary" serve --data "$1" --sip 127.0.0.1:5060 --http none --realm bench.test > "$work/server.log" 2>&1 &
	server=$!
	for _ in $(seq 100); do
		"$binary" --data "$1" status > /dev/null 2>&1 && return
		sleep 0.1
	done
	cat "$work/server.log" >&2; exit 1
}
stop_switchbook() {
	kill -TERM "$server" || true
	wait "$server" || true
	server=
}
bench() { "$sipp_bench/bench.sh" -s 127.0.0.1:5060 -C 1 "$@"; }
line() { grep '^scenario=' | sed "s/^/$1 /"; }
