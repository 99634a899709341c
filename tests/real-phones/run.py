#!/usr/bin/env python3
"""Real phones against the real server, on loopback: two baresip and one linphonec from Debian.

usage: tests/real-phones/run.py [path to the switchbook binary]

Stories: they register with digest; they call each other, each hearing the other's tone; hold and resume; one user rings
on two phones and one answers; a call is forwarded by a profile that a schedule switched on a moment before; a log-out at
the phone without roaming is refused and stands in the book. Ends with the plain line "N passed, N failed".
"""

import datetime
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

from phones import HOST, Baresip, Linphone, Wire, carries, free_port, heard, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
BINARY = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "../../target/release/switchbook"))
REALM = "pbx.test"
TONES = {"p1": 440, "p2": 880, "p3": 1320}


class Exchange:
    """The server under test and its command line."""

    def __init__(self, work):
        self.data = os.path.join(work, "data")
        self.sip = f"{HOST}:{free_port()}"
        self.log = open(os.path.join(work, "server.log"), "w")
        command = [BINARY, "serve", "--data", self.data, "--sip", self.sip, "--http", "none", "--realm", REALM,
                   "--time-zone", "UTC"]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        wait_for("the server answers", lambda: self.try_do("status") is not None)

    def try_do(self, *words, stdin=None):
        """Runs a command; the JSON it prints, or None if it failed."""
        result = subprocess.run([BINARY, "--data", self.data, "--json", "--language", "en", *words],
                                input=stdin, capture_output=True, text=True, timeout=30)
        self.error = result.stderr
        return json.loads(result.stdout or "null") if result.returncode == 0 else None

    def do(self, *words, stdin=None):
        """Runs a command that must work."""
        answer = self.try_do(*words, stdin=stdin)
        assert answer is not None, f"switchbook {' '.join(words)}: {self.error}"
        return answer

    def history(self, what):
        """Names of the events in the history of an object."""
        return [entry["kind"] for entry in self.do("audit", "history", what)["entries"]]

    def stop(self):
        """SIGTERM, and a clean end."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(10)


def build(exchange):
    """Ada has a desk phone and a softphone, Bob a desk phone."""
    exchange.do("user", "add", "ada", "Ada Lovelace", "--number", "100", "--device", "p1=desk",
                "--device", "p3=softphone")
    exchange.do("user", "add", "bob", "Bob", "--number", "200", "--device", "p2=desk")
    for name in TONES:
        exchange.do("device", "password", name, "--password", "-", stdin=f"secret-{name}\n")


def registered(exchange):
    """Names of the phones with a binding."""
    view = exchange.do("registration", "list")
    return {row["device"] for row in view["devices"] if row["bindings"]}


def no_calls(phone):
    """Has this baresip no call left?"""
    return "Active calls (0)" in phone.calls() or "no active" in phone.calls().lower()


def talking(phone):
    """Has this baresip an established call?"""
    return "ESTABLISHED" in phone.calls().upper()


def hang_up(*phones):
    """Ends all calls and waits until they are gone."""
    for phone in phones:
        for _ in range(2):
            phone.do("hangup")
    for phone in phones:
        wait_for(f"{phone.name} has no call", lambda p=phone: not talking(p))


def others(tone):
    """The tones that must not be heard."""
    return [t for t in TONES.values() if t != tone]


def story_register(exchange, p1, p2, p3):
    """Three real phones register with digest."""
    wait_for("three phones are registered", lambda: registered(exchange) == set(TONES), 20)


def story_call(exchange, p1, p2, p3):
    """p1 calls p2; each hears the other's tone."""
    p1.do("dial", f"200@{REALM}")
    wait_for("p1 talks", lambda: talking(p1))
    wait_for("p2 talks", lambda: talking(p2))
    time.sleep(4)
    hang_up(p1, p2)
    assert heard(p2.recordings()[-1], p1.tone, others(p1.tone)), "p2 did not hear p1"
    assert heard(p1.recordings()[-1], p2.tone, others(p2.tone)), "p1 did not hear p2"


def story_hold(exchange, p1, p2, p3):
    """p1 holds and resumes: silence on the wire meanwhile, the tone again afterwards, both ways."""
    # This phone's own recording ends at the first hold, so the sound is heard on the wire.
    wire = Wire()
    try:
        p1.do("dial", f"200@{REALM}")
        wait_for("p1 talks", lambda: talking(p1))
        time.sleep(1.5)
        p1.do("hold")
        time.sleep(1)
        held = time.monotonic()
        time.sleep(1.5)
        assert not wire.sound(p2.rtp, held), "a held phone must hear nothing"
        assert talking(p1) and talking(p2), "the held call must live"
        resumed = time.monotonic()
        p1.do("resume")
        time.sleep(3)
        assert talking(p1) and talking(p2), "the resumed call must live"
        hang_up(p1, p2)
    finally:
        wire.stop()
    assert carries(wire.sound(p2.rtp, resumed), p1.tone, others(p1.tone)), "p2 does not hear p1 after resume"
    assert carries(wire.sound(p1.rtp, resumed), p2.tone, others(p2.tone)), "p1 does not hear p2 after resume"


def story_two_devices(exchange, p1, p2, p3):
    """Bob calls Ada: desk phone and softphone ring, the softphone answers, the desk phone stops."""
    p2.do("dial", f"100@{REALM}")
    wait_for("p2 talks", lambda: talking(p2))
    time.sleep(4)
    assert not talking(p1), "the desk phone must have stopped"
    p2.do("hangup")
    wait_for("p2 has no call", lambda: not talking(p2))
    time.sleep(1)
    assert heard(p2.recordings()[-1], p3.tone, others(p3.tone)), "p2 did not hear the softphone"
    p3.do("terminate all")
    assert heard(p3.recording, p2.tone, others(p2.tone)), "the softphone did not hear p2"
    call = exchange.do("call", "list", "--limit", "1")["calls"][0]
    assert call["answered_by"] == "p3", call


def story_schedule(exchange, p1, p2, p3):
    """A schedule switches a profile on; a moment later a call to Ada goes to Bob."""
    exchange.do("profile", "add", "ada", "Mittag", "--rule", "always=200")
    # Schedules have whole minutes: the next one begins within sixty seconds.
    now = datetime.datetime.now(datetime.timezone.utc).replace(second=0, microsecond=0)
    start, end = now + datetime.timedelta(minutes=1), now + datetime.timedelta(hours=1)
    form = "%Y-%m-%d %H:%M"
    exchange.do("schedule", "add", "100", "ada/Mittag", f"{start.strftime(form)} - {end.strftime(form)}")
    wait_for("the schedule fired", lambda: "ScheduleFired" in exchange.history("number:100"), 75)
    p3.do(f"call sip:100@{REALM}")
    wait_for("p2 talks", lambda: talking(p2))
    time.sleep(3)
    p3.do("terminate all")
    wait_for("p2 has no call", lambda: not talking(p2))
    assert heard(p2.recordings()[-1], p3.tone, others(p3.tone)), "p2 did not hear the softphone"
    told = subprocess.run([BINARY, "--data", exchange.data, "--language", "en", "audit", "explain", "last"],
                          capture_output=True, text=True, timeout=30).stdout
    assert "F-5" in told and "schedule" in told.lower(), told
    print("    " + told.strip().replace("\n", "\n    "))
    for schedule in exchange.do("schedule", "list")["schedules"]:
        exchange.do("schedule", "remove", schedule["schedule"])


def story_roaming(exchange, p1, p2, p3):
    """Without roaming a log-out at the phone is refused and stands in the book; with it, it works."""
    exchange.do("permission", "withdraw", "users", "roaming", "--on", "hosts")
    p2.do("dial", f"*44@{REALM}")
    wait_for("the refusal is in the book", lambda: "AttemptRefused" in exchange.history("device:p2"))
    assert "DeviceLoggedOut" not in exchange.history("device:p2")
    exchange.do("permission", "grant", "users", "roaming", "--on", "hosts")
    p2.do("dial", f"*44@{REALM}")
    wait_for("p2 is logged out", lambda: "DeviceLoggedOut" in exchange.history("device:p2"))


STORIES = [story_register, story_call, story_hold, story_two_devices, story_schedule, story_roaming]


def main():
    for program in ("baresip", "linphonec"):
        if not shutil.which(program):
            sys.exit(f"{program} is missing: apt-get install baresip linphone-cli")
    work = tempfile.mkdtemp(prefix="switchbook-phones-")
    phones, passed, failed = [], 0, 0
    exchange = Exchange(work)
    try:
        build(exchange)
        make = lambda kind, name, **more: kind(work, name, f"secret-{name}", TONES[name], exchange.sip, REALM, **more)
        # The desk phone of Ada rings and does not answer by itself, so that her softphone can.
        phones = [make(Baresip, "p1", answer="manual"), make(Baresip, "p2"), make(Linphone, "p3")]
        for story in STORIES:
            begin = time.monotonic()
            try:
                story(exchange, *phones)
                passed += 1
                print(f"ok   {story.__doc__.strip()} ({time.monotonic() - begin:.1f} s)", flush=True)
            except Exception:  # a story that fails must not hide the others
                failed += 1
                print(f"FAIL {story.__doc__.strip()}\n{traceback.format_exc()}", flush=True)
        clean = exchange.stop()
        if clean != 0:
            failed += 1
            print(f"FAIL the server ended with {clean} after SIGTERM")
    finally:
        for phone in phones:
            phone.stop()
        if exchange.process.poll() is None:
            exchange.process.kill()
        if failed:
            print(f"logs are kept in {work}")
        else:
            shutil.rmtree(work, ignore_errors=True)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
