"""Real phones without a screen: baresip and linphonec on loopback, each with a tone of its own.

baresip plays a WAV file and dumps what it sends and hears; linphonec plays a file and records. What a phone heard is
decided by the Goertzel power of the tones in its recording.
"""

import glob
import json
import math
import os
import random
import signal
import socket
import struct
import subprocess
import threading
import time

HOST = "127.0.0.1"


def free_port(kind=socket.SOCK_DGRAM):
    """A port nobody uses now."""
    with socket.socket(socket.AF_INET, kind) as s:
        s.bind((HOST, 0))
        return s.getsockname()[1]


def free_even_ports(count):
    """The first of `count` ports in a row, even, for RTP."""
    while True:
        start = random.randrange(20000, 50000, 2)
        try:
            held = []
            for port in range(start, start + count):
                s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                held.append(s)
                s.bind((HOST, port))
            return start
        except OSError:
            continue
        finally:
            for s in held:
                s.close()


def wait_for(what, condition, seconds=15.0):
    """Waits until the condition gives something true, and gives that."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.1)
    raise AssertionError(f"{what}: not within {seconds:.0f} s")


def write_tone(path, frequency, seconds=60, rate=8000):
    """A sine as 16-bit mono WAV."""
    samples = bytearray()
    for i in range(rate * seconds):
        samples += struct.pack("<h", int(12000 * math.sin(2 * math.pi * frequency * i / rate)))
    with open(path, "wb") as f:
        f.write(b"RIFF" + struct.pack("<I", 36 + len(samples)) + b"WAVEfmt ")
        f.write(struct.pack("<IHHIIHH", 16, 1, 1, rate, rate * 2, 2, 16))
        f.write(b"data" + struct.pack("<I", len(samples)) + samples)


def read_samples(path):
    """Rate and the first channel; a header that is not final yet (a phone still records) is read leniently."""
    with open(path, "rb") as f:
        raw = f.read()
    fmt = raw.find(b"fmt ")
    data = raw.find(b"data")
    if fmt < 0 or data < 0:
        return 8000, []
    kind, channels, rate = struct.unpack("<HHI", raw[fmt + 8:fmt + 16])
    bits = struct.unpack("<H", raw[fmt + 22:fmt + 24])[0]
    body = raw[data + 8:]
    if kind == 3 and bits == 32:
        count = len(body) // 4
        samples = [int(32767 * x) for x in struct.unpack(f"<{count}f", body[:count * 4])]
    else:
        count = len(body) // 2
        samples = struct.unpack(f"<{count}h", body[:count * 2])
    return rate, samples[::channels]


def power(samples, rate, frequency):
    """Mean power at one frequency (Goertzel), over the loudest second."""
    best = 0.0
    for start in range(0, max(1, len(samples) - rate + 1), rate // 2):
        window = samples[start:start + rate]
        if len(window) < rate // 2:
            continue
        w = 2 * math.cos(2 * math.pi * frequency / rate)
        s1 = s2 = 0.0
        for x in window:
            s1, s2 = x + w * s1 - s2, s1
        best = max(best, (s1 * s1 + s2 * s2 - w * s1 * s2) / len(window) ** 2)
    return best


def heard(path, frequency, others):
    """Does the recording hold this tone, and far louder than the others?"""
    rate, samples = read_samples(path)
    wanted = power(samples, rate, frequency)
    noise = max([power(samples, rate, other) for other in others] + [1.0])
    return wanted > 50_000 and wanted > 10 * noise


class Wire:
    """Listens to the sound (RTP, PCMU) on its way to a phone; needs the right to look at loopback."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(3))
        self.socket.bind(("lo", 0))
        self.packets = []
        self.running = True
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()

    def _listen(self):
        self.socket.settimeout(0.2)
        while self.running:
            try:
                frame, address = self.socket.recvfrom(2048)
            except socket.timeout:
                continue
            # Each packet on loopback is seen going out and coming in; IPv4 without options, UDP, RTP version 2, PCMU.
            outgoing, udp = address[2] == socket.PACKET_OUTGOING, frame[23:24] == b"\x11"
            if outgoing or not udp or len(frame) < 60 or frame[42] >> 6 != 2 or frame[43] & 127 != 0:
                continue
            port = struct.unpack(">H", frame[36:38])[0]
            self.packets.append((time.monotonic(), port, frame[54:]))

    def stop(self):
        """Stops listening."""
        self.running = False
        self.thread.join()
        self.socket.close()

    def sound(self, ports, since):
        """The samples that went to one of these ports since that time."""
        return [ulaw(byte) for when, port, payload in list(self.packets) if when >= since and port in ports
                for byte in payload]


def ulaw(byte):
    """One sample of ITU-T G.711 µ-law."""
    byte = ~byte & 0xFF
    magnitude = (((byte & 0x0F) << 3) + 0x84) << ((byte & 0x70) >> 4)
    return 0x84 - magnitude if byte & 0x80 else magnitude - 0x84


def carries(samples, frequency, other_tones):
    """Is this tone in the samples, and far louder than the others?"""
    noise = max([power(samples, 8000, other) for other in other_tones] + [1.0])
    wanted = power(samples, 8000, frequency)
    return wanted > 50_000 and wanted > 10 * noise


class Phone:
    """A process with a folder and a tone."""

    def __init__(self, work, name, password, tone, server, realm):
        self.name, self.password, self.tone = name, password, tone
        self.server, self.realm = server, realm
        self.folder = os.path.join(work, name)
        os.makedirs(self.folder)
        self.wav = os.path.join(self.folder, "tone.wav")
        write_tone(self.wav, tone)
        self.process = None

    def stop(self):
        """Ends this phone, and no other process."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Baresip(Phone):
    """baresip, driven through its ctrl_tcp module."""

    def __init__(self, *args, answer="auto"):
        super().__init__(*args)
        self.control = free_port(socket.SOCK_STREAM)
        rtp = free_even_ports(20)
        self.rtp = range(rtp, rtp + 20)
        dumps = os.path.join(self.folder, "dumps")
        os.makedirs(dumps)
        with open(os.path.join(self.folder, "config"), "w") as f:
            f.write(
                f"sip_listen {HOST}:{free_port()}\n"
                f"net_interface {HOST}\n"
                "call_local_timeout 60\ncall_max_calls 4\n"
                "audio_srate 8000-8000\naudio_channels 1-1\n"
                f"audio_source aufile,{self.wav}\naudio_alert aufile,{self.wav}\n"
                f"rtp_ports {rtp}-{rtp + 19}\n"
                "module_path /usr/lib/baresip/modules\n"
                "module g711.so\nmodule aufile.so\nmodule sndfile.so\n"
                "module_app ctrl_tcp.so\nmodule_app account.so\nmodule_app menu.so\n"
                f"ctrl_tcp_listen {HOST}:{self.control}\nsnd_path {dumps}\n"
            )
        with open(os.path.join(self.folder, "accounts"), "w") as f:
            f.write(
                f"<sip:{self.name}@{self.realm};transport=udp>;auth_user={self.name};auth_pass={self.password}"
                f";outbound=\"sip:{self.server}\";regint=60;answermode={answer};audio_codecs=PCMU/8000/1\n"
            )
        log = open(os.path.join(self.folder, "log"), "w")
        self.process = subprocess.Popen(
            ["baresip", "-f", self.folder], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )

    def do(self, command, parameters=""):
        """Sends one command (a netstring of JSON) and gives what it answers."""
        body = json.dumps({"command": command, "params": parameters, "token": "t"}).encode()
        with socket.create_connection((HOST, self.control), 3) as s:
            s.settimeout(0.7)
            s.sendall(b"%d:%s," % (len(body), body))
            answer = b""
            try:
                while chunk := s.recv(65536):
                    answer += chunk
            except socket.timeout:
                pass
        return answer.decode("utf8", "replace")

    def calls(self):
        """Text of its calls in progress."""
        return self.do("listcalls")

    def recordings(self):
        """What it heard, newest last ("dec" is the decoded, incoming side)."""
        return sorted(glob.glob(os.path.join(self.folder, "dumps", "*dec*.wav")), key=os.path.getmtime)


class Linphone(Phone):
    """linphonec, driven through its standard input."""

    def __init__(self, *args, answer="auto"):
        super().__init__(*args)
        self.config = os.path.join(self.folder, "linphonerc")
        self.recording = os.path.join(self.folder, "heard.wav")
        # Without a place for its database the program runs, but never opens a socket.
        os.makedirs(os.path.join(self.folder, ".local", "share", "linphone"))
        rtp = free_even_ports(2)
        with open(self.config, "w") as f:
            f.write(
                f"[sip]\nbind_address={HOST}\nuse_ipv6=0\nsip_port={free_port()}\nsip_tcp_port=-1\nsip_tls_port=-1\n"
                "default_proxy=0\nguess_hostname=0\nregister_only_when_network_is_up=0\n"
                f"[rtp]\naudio_rtp_port={rtp}\n"
                "[net]\nmtu=1300\n"
                f"[proxy_0]\nreg_proxy=<sip:{self.server};transport=udp>\n"
                f"reg_route=<sip:{self.server};transport=udp;lr>\n"
                f"reg_identity=sip:{self.name}@{self.realm}\nreg_expires=120\nreg_sendregister=1\npublish=0\n"
                f"[auth_info_0]\nusername={self.name}\npasswd={self.password}\nrealm={self.realm}\n"
                f"domain={self.realm}\n"
                "[audio_codec_0]\nmime=PCMU\nrate=8000\nenabled=1\n"
            )
        log = open(os.path.join(self.folder, "log"), "w")
        command = ["linphonec", "-c", self.config, "-d", "3"] + (["-a"] if answer == "auto" else [])
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=log, stderr=log, text=True,
            env={**os.environ, "HOME": self.folder},
        )
        time.sleep(1.0)
        self.do("soundcard use files")
        self.do(f"play {self.wav}")
        self.do(f"record {self.recording}")

    def do(self, line):
        """Types one line."""
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        time.sleep(0.2)

    def log(self):
        """What it printed so far."""
        with open(os.path.join(self.folder, "log"), errors="replace") as f:
            return f.read()
