//! Phones in a closed loop against a server that runs already, ours or another: each registers the moment another is through.
//! Beside sipp, which opens calls at ticks of its clock and so keeps fewer phones waiting than it was told.

use crate::phones::{Names, Phones};
use crate::report::Report;
use std::error::Error;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// The users that the bench with sipp makes, with their passwords.
const NAMES: Names = Names {
    name: |index| (100_000 + u64::from(index)).to_string(),
    password: |index| format!("s{:08x}", index.wrapping_mul(2_654_435_761)),
    number: |index| (100_000 + u64::from(index)).to_string(),
};

/// Registers so many users for the first time, `phones` of them at any moment: REGISTER, 401, REGISTER with digest, 200.
///
/// # Errors
/// When one is refused, or not all are through within two minutes.
pub fn measure(server: SocketAddr, users: u32, phones: usize) -> Result<Report, Box<dyn Error>> {
    let all = Phones::new(server, &server.to_string(), NAMES)?.at_once(phones);
    let began = Instant::now();
    all.register(0..users, PATIENCE)?;
    let seconds = began.elapsed().as_secs_f64();
    let columns = ["phones", "registrations", "seconds", "a second", "sent twice"];
    let mut report = Report::new("Registrations in a closed loop", &columns);
    report.row([
        phones.into(),
        users.into(),
        seconds.into(),
        (f64::from(users) / seconds).round().into(),
        all.repeated().into(),
    ]);
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::NAMES;

    /// As the list of users that the servers were given (`gen_users.py`).
    #[test]
    fn names_and_passwords_are_those_of_the_bench_with_sipp() {
        assert_eq!((NAMES.name)(7), "100007");
        assert_eq!((NAMES.password)(0), "s00000000");
        assert_eq!((NAMES.password)(1), "s9e3779b1");
        assert_eq!((NAMES.password)(3), "sdaa66d13");
    }
}
