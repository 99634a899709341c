//! A real server on a folder, and what it costs.

use std::error::Error;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What the server does behind a first start (index, snapshots) is over when its folder has not grown for so long.
const STILL: Duration = Duration::from_secs(4);

/// A server that runs. Dropped, it is killed, as nothing is worse.
pub struct Server {
    process: Child,
    /// Where phones reach it.
    pub sip: SocketAddr,
}

impl Server {
    /// Starts the binary on this folder, with its default settings.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(binary: &Path, folder: &Path, first: bool) -> Result<Self, Box<dyn Error>> {
        let sip = UdpSocket::bind("127.0.0.1:0")?.local_addr()?;
        let process = Command::new(binary)
            .args(["serve", "--http", "none", "--realm", "bench.test", "--sip", &sip.to_string()])
            .arg("--data")
            .arg(folder)
            // A book that was made up has erased nobody, and so has no list of erasures yet.
            .args(first.then_some("--accept-lost-erasures"))
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| format!("{} does not start: {error}", binary.display()))?;
        Ok(Self { process, sip })
    }

    /// Has it not ended by itself?
    pub fn runs(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// A line of `/proc/<id>/status`, in MiB.
    #[must_use]
    pub fn memory(&self, line: &str) -> f64 {
        self.kib("status", line) / 1024.0
    }

    /// Resident and proportional memory (RSS, PSS), in KiB.
    #[must_use]
    pub fn resident(&self) -> [f64; 2] {
        ["Rss:", "Pss:"].map(|line| self.kib("smaps_rollup", line))
    }

    fn kib(&self, file: &str, line: &str) -> f64 {
        let path = format!("/proc/{}/{file}", self.process.id());
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let found = text.lines().find_map(|text| {
            text.strip_prefix(line)?.trim_start_matches(':').split_whitespace().next()
        });
        found.and_then(|kib| kib.parse().ok()).unwrap_or(f64::NAN)
    }

    /// Processor time of all its threads so far (proc_pid_schedstat: nanoseconds on a core).
    #[must_use]
    pub fn processor(&self) -> Duration {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.process.id()));
        let each = tasks.into_iter().flatten().flatten().filter_map(|task| {
            let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(each.sum())
    }

    /// Ends it as an administrator does, and waits until it is gone.
    ///
    /// # Errors
    /// When it does not end within `patience`; it is killed then.
    pub fn stop(mut self, patience: Duration) -> Result<(), Box<dyn Error>> {
        let id = i32::try_from(self.process.id()).ok().and_then(rustix::process::Pid::from_raw);
        let id = id.ok_or("the server has no process")?;
        rustix::process::kill_process(id, rustix::process::Signal::TERM)?;
        let began = Instant::now();
        while self.runs() {
            if began.elapsed() > patience {
                return Err(format!("the server did not end within {patience:?}").into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Waits until the folder has not grown for a while, at most `patience`.
pub fn settle(folder: &Path, patience: Duration) {
    let (mut size, mut since, began) = (0, Instant::now(), Instant::now());
    while since.elapsed() < STILL && began.elapsed() < patience {
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
