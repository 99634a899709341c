//! How well-behaved phones fare while somebody attacks a real server: the attack list's lines that speak of time (6, 16 to
//! 18, 29), as figures.
//!
//! `bench/under-attack.sh` starts the server, makes the phones and runs this:
//! `under_attack SERVER REALM PHONES SECONDS`; phones are named `b0`, `b1` … with the password `bench-secret`. Everything
//! is on loopback: attackers at 127.0.0.2 and 127.2.0.0/16, phones at 127.0.0.3. Each part is bounded in count and time.

use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use switchbook_sip::digest::{Answer, Challenge, Ha1};
use switchbook_sip::message::{HeaderName, Message, Response, parse_datagram};

type Failed = Box<dyn Error>;

const PASSWORD: &str = "bench-secret";
/// RFC 3261 §17.1.2.2: the first repetition of a request over UDP.
const T1: Duration = Duration::from_millis(500);
/// A registration that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two registrations: a hundred a second at most.
const PAUSE: Duration = Duration::from_millis(10);

fn main() -> Result<(), Failed> {
    let mut arguments = std::env::args().skip(1);
    let usage = "under_attack SERVER REALM PHONES SECONDS";
    let mut next = || arguments.next().ok_or(usage);
    let (server, realm) = (next()?.parse()?, next()?);
    let (phones, seconds): (usize, u64) = (next()?.parse()?, next()?.parse()?);
    let mut office = Office::new(server, &realm, phones)?;

    println!("Registrations of other phones, each a new binding on disk before its 200 (line 29)");
    println!("{}", Times::HEAD);
    let quiet = office.register_for(Duration::from_secs(seconds / 2 + 1))?;
    println!("{}", quiet.row("nobody attacks"));
    for (method, rate) in
        [("INVITE", 1_000), ("REGISTER", 1_000), ("INVITE", 20_000), ("REGISTER", 20_000)]
    {
        let flood = Flood::begin(server, &realm, method, rate)?;
        let times = office.register_for(Duration::from_secs(seconds))?;
        let sent = flood.end();
        let really = sent / seconds.max(1);
        println!("{}", times.row(&format!("{method} flood, {rate}/s wanted, {really}/s sent")));
    }

    println!("\nThe answer to a wrong password, from addresses that never asked before (line 6)");
    println!("{}", Times::HEAD);
    let (known, unknown) = names(server, &realm)?;
    println!("{}", known.row("a name that exists"));
    println!("{}", unknown.row("a name that does not"));
    let apart = known.at(50).abs_diff(unknown.at(50));
    println!("medians apart: {:.3} ms", millis(apart));

    println!("\nOPTIONS between damaged messages, {DAMAGED} of them (lines 16 to 18)");
    println!("{}", Times::HEAD);
    println!("{}", damaged(server, &realm)?.row("answered"));
    Ok(())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// What was measured.
#[derive(Default)]
struct Times {
    sorted: Vec<Duration>,
    failed: usize,
    repeated: usize,
}

impl Times {
    const HEAD: &str = "                                                  count    p50 ms    p99 ms  worst ms  <100 ms  repeated  failed";

    fn at(&self, percent: usize) -> Duration {
        let last = self.sorted.len().saturating_sub(1);
        self.sorted.get(last * percent / 100).copied().unwrap_or_default()
    }

    fn row(&self, what: &str) -> String {
        let count = self.sorted.len();
        let quick = self.sorted.iter().filter(|time| **time < Duration::from_millis(100)).count();
        let share = 100.0 * quick as f64 / (count + self.failed).max(1) as f64;
        format!(
            "{what:<48} {count:>6} {:>9.3} {:>9.3} {:>9.3} {share:>6.1} % {:>8} {:>7}",
            millis(self.at(50)),
            millis(self.at(99)),
            millis(self.at(100)),
            self.repeated,
            self.failed
        )
    }

    fn take(&mut self, outcome: Option<(Duration, usize)>) {
        match outcome {
            Some((time, repeated)) => {
                self.sorted.push(time);
                self.repeated += repeated;
            }
            None => self.failed += 1,
        }
    }

    fn sorted(mut self) -> Self {
        self.sorted.sort_unstable();
        self
    }
}

/// Sends a request as RFC 3261 §17.1.2 has it until its answer comes; gives it, and how often it was repeated.
fn ask(socket: &UdpSocket, text: &str, branch: &str) -> io::Result<Option<(Response, usize)>> {
    let began = Instant::now();
    let (mut wait, mut repeated) = (T1, 0);
    let mut buffer = [0; 65_536];
    while began.elapsed() < PATIENCE {
        socket.send(text.as_bytes())?;
        let until = Instant::now() + wait;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            socket.set_read_timeout(Some(left.max(Duration::from_micros(50))))?;
            let Ok(length) = socket.recv(&mut buffer) else { continue };
            let bytes = bytes::Bytes::copy_from_slice(&buffer[..length]);
            if let Ok(Message::Response(response)) = parse_datagram(bytes) {
                let via = response.value(HeaderName::Via).unwrap_or_default();
                if String::from_utf8_lossy(via).contains(branch) {
                    return Ok(Some((response, repeated)));
                }
            }
        }
        repeated += 1;
        wait *= 2;
    }
    Ok(None)
}

fn socket(ip: Ipv4Addr, server: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((ip, 0))?;
    socket.connect(server)?;
    Ok(socket)
}

fn request(
    method: &str,
    realm: &str,
    name: &str,
    serial: u64,
    at: SocketAddr,
    more: &str,
) -> String {
    let (user, branch) = match method {
        "REGISTER" => (String::new(), format!("z9hG4bKr{serial}")),
        _ => ("100@".to_owned(), format!("z9hG4bKi{serial}")),
    };
    format!(
        "{method} sip:{user}{realm} SIP/2.0\r\nVia: SIP/2.0/UDP {at};rport;branch={branch}\r\nMax-Forwards: 70\r\n\
         From: <sip:{name}@{realm}>;tag=t{serial}\r\nTo: <sip:{name}@{realm}>\r\nCall-ID: {method}{serial}@{at}\r\n\
         CSeq: 1 {method}\r\nContact: <sip:{name}@{at}>\r\n{more}Content-Length: 0\r\n\r\n"
    )
}

/// Registers with a digest, from the first request to the 200; gives the last status.
fn register(
    socket: &UdpSocket,
    realm: &str,
    (name, password): (&str, &str),
    serial: &mut u64,
) -> io::Result<Option<(u16, usize, Duration)>> {
    let at = socket.local_addr()?;
    *serial += 2;
    let first = request("REGISTER", realm, name, *serial, at, "");
    let Some((challenged, repeated)) = ask(socket, &first, &format!("z9hG4bKr{serial}"))? else {
        return Ok(None);
    };
    let values = challenged.values(HeaderName::WwwAuthenticate);
    let Ok(challenge) = Challenge::choose(values) else {
        return Ok(Some((challenged.status(), repeated, Duration::ZERO)));
    };
    let ha1 = Ha1::compute(challenge.algorithm, name, &challenge.realm, password);
    let uri = format!("sip:{realm}");
    let answer =
        Answer { username: name, ha1: &ha1, method: "REGISTER", uri: &uri, cnonce: "c", count: 1 };
    let Ok(header) = answer.header(&challenge) else { return Ok(None) };
    *serial += 1;
    let more = format!("Expires: 3600\r\nAuthorization: {header}\r\n");
    let second = request("REGISTER", realm, name, *serial, at, &more);
    let began = Instant::now();
    let answered = ask(socket, &second, &format!("z9hG4bKr{serial}"))?;
    let took = began.elapsed();
    Ok(answered.map(|(response, again)| (response.status(), repeated + again, took)))
}

/// The phones that do nothing wrong.
struct Office {
    socket: UdpSocket,
    realm: String,
    phones: usize,
    next: usize,
    serial: u64,
}

impl Office {
    fn new(server: SocketAddr, realm: &str, phones: usize) -> Result<Self, Failed> {
        let socket = socket(Ipv4Addr::new(127, 0, 0, 3), server)?;
        Ok(Self { socket, realm: realm.into(), phones, next: 0, serial: 0 })
    }

    /// One phone after the other registers for the first time.
    fn register_for(&mut self, time: Duration) -> Result<Times, Failed> {
        let (began, mut times) = (Instant::now(), Times::default());
        while began.elapsed() < time {
            if self.next == self.phones {
                return Err("not enough phones: make more of them".into());
            }
            let name = format!("b{}", self.next);
            self.next += 1;
            let first = Instant::now();
            let done = register(&self.socket, &self.realm, (&name, PASSWORD), &mut self.serial)?;
            let good = done.filter(|(status, ..)| *status == 200);
            times.take(good.map(|(_, repeated, _)| (first.elapsed(), repeated)));
            std::thread::sleep(PAUSE);
        }
        Ok(times.sorted())
    }
}

/// One source that sends without pause and does not look at what comes back.
struct Flood {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Flood {
    fn begin(server: SocketAddr, realm: &str, method: &str, rate: u64) -> Result<Self, Failed> {
        let socket = socket(Ipv4Addr::new(127, 0, 0, 2), server)?;
        let stop = Arc::new(AtomicBool::new(false));
        let (ends, realm, method) = (Arc::clone(&stop), realm.to_owned(), method.to_owned());
        let at = socket.local_addr()?;
        let thread = std::thread::spawn(move || {
            let (began, mut sent) = (Instant::now(), 0_u64);
            while !ends.load(Relaxed) {
                // What is due by now, in small handfuls; never more than the rate.
                let due = (began.elapsed().as_secs_f64() * rate as f64) as u64;
                let handful = due.min(sent + 64);
                for serial in sent..handful {
                    let text = request(&method, &realm, "b0", serial, at, "");
                    // A full buffer of the kernel is part of a flood.
                    let _ = socket.send(text.as_bytes());
                }
                sent = handful;
                if sent >= due {
                    std::thread::sleep(Duration::from_micros(200));
                }
            }
            sent
        });
        Ok(Self { stop, thread })
    }

    fn end(self) -> u64 {
        self.stop.store(true, Relaxed);
        self.thread.join().unwrap_or(0)
    }
}

/// Tries for each kind of name.
const TRIES: u16 = 1_000;

/// A wrong password for a name that exists and for one that does not, in turns, each from an address of its own: no bound
/// stands between them.
fn names(server: SocketAddr, realm: &str) -> Result<(Times, Times), Failed> {
    let (mut known, mut unknown) = (Times::default(), Times::default());
    let mut serial = 1 << 60;
    for n in 0..TRIES * 2 {
        let [high, low] = n.to_be_bytes();
        let socket = socket(Ipv4Addr::new(127, 2, high, low), server)?;
        let exists = n.is_multiple_of(2);
        let name = if exists { format!("b{}", n / 2) } else { format!("x{}", n / 2) };
        let tried = register(&socket, realm, (&name, "wrong-guess"), &mut serial)?;
        let refused = tried.filter(|(status, ..)| *status == 401);
        let times = if exists { &mut known } else { &mut unknown };
        times.take(refused.map(|(_, repeated, took)| (took, repeated)));
    }
    Ok((known.sorted(), unknown.sorted()))
}

/// Messages that are damaged by chance, as many as the PROTOS suite has.
const DAMAGED: u64 = 4_527;

/// Every twentieth is followed by an OPTIONS from somebody else.
fn damaged(server: SocketAddr, realm: &str) -> Result<Times, Failed> {
    let attacker = socket(Ipv4Addr::new(127, 0, 0, 2), server)?;
    let other = socket(Ipv4Addr::new(127, 0, 0, 4), server)?;
    let (from, here) = (attacker.local_addr()?, other.local_addr()?);
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut dice = move |sides: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % sides.max(1) as u64) as usize
    };
    let mut times = Times::default();
    for n in 0..DAMAGED {
        let method = ["INVITE", "REGISTER", "BYE", "ACK", "CANCEL"][dice(5)];
        let mut bytes = request(method, realm, "b0", n, from, "").into_bytes();
        for _ in 0..=dice(12) {
            let at = dice(bytes.len());
            match dice(4) {
                0 => bytes[at] = dice(256) as u8,
                1 => bytes.truncate(at.max(8)),
                2 => bytes
                    .splice(at..at, std::iter::repeat_n(b'A' + dice(26) as u8, dice(900)))
                    .for_each(drop),
                _ => bytes.insert(at, [0, b'\r', b'\n', b';', b'"', b':', 0xff][dice(7)]),
            }
        }
        let _ = attacker.send(&bytes);
        if n.is_multiple_of(20) {
            let text = request("OPTIONS", realm, "other", n, here, "");
            let began = Instant::now();
            let answered = ask(&other, &text, &format!("z9hG4bKi{n}"))?;
            times.take(answered.map(|(_, repeated)| (began.elapsed(), repeated)));
        }
    }
    Ok(times.sorted())
}
