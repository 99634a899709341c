//! How long a server takes from being started after kill -9 to the first digest REGISTER accepted, and what it holds in
//! memory then.

use crate::register::register;
use crate::report::{Report, ms};
use crate::year::{device_name, password};
use std::error::Error;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A first start may fold the whole book.
const PATIENCE: Duration = Duration::from_secs(120);
/// What the server does behind the first start (index, snapshots) is over when its folder has not grown for so long.
const STILL: Duration = Duration::from_secs(4);

struct Server {
    process: Child,
    sip: SocketAddr,
}

impl Server {
    fn start(binary: &Path, folder: &Path, first: bool) -> Result<Self, Box<dyn Error>> {
        let sip = UdpSocket::bind("127.0.0.1:0")?.local_addr()?;
        let process = Command::new(binary)
            .args(["serve", "--http", "none", "--sip", &sip.to_string(), "--data"])
            .arg(folder)
            // A book that was made up has erased nobody, and so has no list of erasures yet.
            .args(first.then_some("--accept-lost-erasures"))
            .stdout(Stdio::null())
            .spawn()?;
        Ok(Self { process, sip })
    }

    /// A line of `/proc/<id>/status`, in MiB.
    fn memory(&self, line: &str) -> f64 {
        let path = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(path).unwrap_or_default();
        let found =
            status.lines().find_map(|text| text.strip_prefix(line)?.split_whitespace().nth(1));
        found.and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1024.0
    }
}

/// Killed, as nothing is worse.
impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Starts the server on the book once, kills it when its index and snapshots are there, then measures `turns` starts, each
/// ended by a kill.
///
/// # Errors
/// When the server does not start, or accepts no phone.
pub fn measure(binary: &Path, folder: &Path, turns: u32) -> Result<Report, Box<dyn Error>> {
    let title = "from the start after kill -9 to the first digest REGISTER accepted (goals 1000 ms and 300 MiB)";
    let columns = ["start", "ms", "requests", "RSS MiB", "most MiB"];
    let mut report = Report::new(title, &columns);
    for turn in 0..=turns {
        let began = Instant::now();
        let mut server = Server::start(binary, folder, turn == 0)?;
        let (name, password) = (device_name(turn), password(turn));
        let process = &mut server.process;
        let mut runs = || matches!(process.try_wait(), Ok(None));
        let phone = (&*name, "bench.test", &*password);
        let sent = register(server.sip, phone, PATIENCE, &mut runs)?;
        let took = began.elapsed();
        let name =
            if turn == 0 { "the first, no index".into() } else { format!("after kill {turn}") };
        let [now, most] = [server.memory("VmRSS"), server.memory("VmHWM")];
        report.row([name.into(), ms(took), sent.into(), now.into(), most.into()]);
        if turn == 0 {
            settle(folder);
        }
    }
    Ok(report)
}

fn settle(folder: &Path) {
    let (mut size, mut since, began) = (0, Instant::now(), Instant::now());
    while since.elapsed() < STILL && began.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(200));
        let now = bytes(folder);
        if now != size {
            (size, since) = (now, Instant::now());
        }
    }
}

fn bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let each = entries.map(|entry| match entry.metadata() {
        Ok(what) if what.is_dir() => bytes(&entry.path()),
        Ok(what) => what.len(),
        Err(_) => 0,
    });
    each.sum()
}
