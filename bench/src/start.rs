//! How long a server takes from being started after kill -9 to the first digest REGISTER accepted, and what it holds in
//! memory then.

use crate::register::register;
use crate::report::{Report, ms};
use crate::server::{Server, settle};
use crate::year::{device_name, password};
use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

/// A first start may fold the whole book.
const PATIENCE: Duration = Duration::from_secs(120);

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
        let sip = server.sip;
        let phone = (&*name, "bench.test", &*password);
        let sent = register(sip, phone, PATIENCE, &mut || server.runs())?;
        let took = began.elapsed();
        let name =
            if turn == 0 { "the first, no index".into() } else { format!("after kill {turn}") };
        let [now, most] = [server.memory("VmRSS"), server.memory("VmHWM")];
        report.row([name.into(), ms(took), sent.into(), now.into(), most.into()]);
        if turn == 0 {
            settle(folder, PATIENCE);
        }
    }
    Ok(report)
}
