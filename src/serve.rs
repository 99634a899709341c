//! `switchbook serve`: the exchange until SIGTERM or Ctrl-C.

use crate::cli::{Common, output};
use crate::failure::{Failure, failed};
use crate::house::House;
use crate::settings::{Http, Settings};
use clap::ArgMatches;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use switchbook_projections::text::counted;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Runs until told to stop.
pub fn run(common: &Common, matches: &ArgMatches) -> Result<(), Failure> {
    small_pages();
    let mut settings = match matches.get_one::<PathBuf>("config") {
        Some(path) => Settings::read(path)?,
        None => Settings::default(),
    };
    listening(&mut settings, matches);
    if let Some(realm) = matches.get_one::<String>("realm") {
        settings.realm = Some(realm.clone());
    }
    if let Some(zone) = matches.get_one::<String>("time-zone") {
        let wrong =
            |_| Failure::new(format!("`{zone}` is no time zone: write it like Europe/Berlin"));
        settings.time_zone = Some(zone.parse().map_err(wrong)?);
    }
    settings.accept_lost_vault = matches.get_flag("accept-lost-vault");
    settings.accept_lost_erasures = matches.get_flag("accept-lost-erasures");
    if let Some(path) = matches.get_one::<PathBuf>("erasures") {
        settings.erasures = Some(path.clone());
    }
    crate::log::init(settings.log.as_deref());
    let data = settings.data.clone().unwrap_or_else(|| common.data.clone());
    let runtime = runtime()?;
    let served = runtime.block_on(async {
        let mut told = Told::listen()?;
        let mut house = tokio::select! {
            house = House::open(&data, &settings) => house?,
            // As a kill would be: nothing was begun for anybody.
            () = told.asked() => return Ok(()),
        };
        welcome(&data, &house);
        another_realm(&settings, &house);
        let told = tokio::select! {
            () = told.asked() => Ok(()),
            broken = house.broken() => Err(broken),
        };
        output::line("stopping: calls are ended, tables are kept, the book is closed");
        house.stop().await?;
        told
    });
    // What hangs in the disk then hangs for ever: a stop comes to an end all the same.
    runtime.shutdown_timeout(CLOSING);
    served
}

/// After the stop, what is still being written to the disk has so long.
const CLOSING: Duration = Duration::from_secs(30);

/// The addresses that `serve` and `demo` share.
pub fn listening(settings: &mut Settings, matches: &ArgMatches) {
    if let Some(address) = matches.get_one::<SocketAddr>("sip") {
        settings.sip = Some(*address);
    }
    if let Some(address) = matches.get_one::<Http>("http") {
        settings.http = Some(*address);
    }
}

/// Asks the system for no pages of 2 MiB. The allocator wants them, and a server whose tables grow a little at a time pays for each by
/// clearing all of it at once: a fifth more memory, and a pause in the middle of a rush (docs/performance.md).
fn small_pages() {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "the system keeps to huge pages");
    }
}

/// The runtime of the server.
pub fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(failed("the server's threads cannot be started"))
}

fn welcome(data: &std::path::Path, house: &House) {
    let position = house.rooms.desk.published().position;
    output::done(&format!("the book {} is open at {position}", data.display()));
    if house.report.cut_bytes > 0 {
        output::warning(&format!(
            "{} cut off its end; nobody had been told they were kept",
            counted(
                house.report.cut_bytes,
                "byte of unfinished commits was",
                "bytes of unfinished commits were"
            )
        ));
    }
    if let Some(point) = &house.report.restore_point {
        output::done(&format!(
            "an older Switchbook wrote this book: the way back is the restore point {}",
            point.display()
        ));
    }
    for point in &house.pruned {
        output::done(&format!("an old restore point was removed: {}", point.display()));
    }
    if house.erased_again > 0 {
        output::warning(&format!(
            "this book is older than its list of erasures: {} carried out again and recorded",
            counted(house.erased_again, "erasure was", "erasures were")
        ));
    }
    if house.report.watermark_lost {
        output::warning(
            "the watermark was lost: that the last records were not cut off could not be checked. \
             Compare the position above with what you know, or with a backup",
        );
    }
    if house.report.vault_lost {
        output::warning(
            "the vault was lost and a new one begun: names and passwords from before stay unreadable",
        );
    }
    if house.report.leases_lost > 0 {
        output::warning(&format!(
            "{} of registrations could not be read; these phones register again when they are due",
            counted(house.report.leases_lost, "refresh", "refreshes")
        ));
    }
    let told = format!("phones: udp:{}", house.sip);
    output::done(&match realm(house) {
        Some(realm) => format!("{told}; a phone has to enter {realm} as its domain (realm)"),
        None => told,
    });
    if let Some(http) = house.http {
        output::done(&format!("health and metrics: http://{http}/health, http://{http}/metrics"));
    }
}

/// What phones enter as domain, and reckon their digests with (RFC 3261 §22.4).
fn realm(house: &House) -> Option<String> {
    let published = house.rooms.desk.published();
    published.exchange.settings.as_ref().map(|known| known.realm.value.clone())
}

/// A realm is fixed when the folder is made: asking for another one later changes nothing, and is told.
fn another_realm(settings: &Settings, house: &House) {
    let Some(of_book) = realm(house) else { return };
    if let Some(wanted) = settings.realm.as_ref().filter(|wanted| **wanted != of_book) {
        output::warning(&format!(
            "this book's realm is {of_book} for ever; {wanted} is ignored. Another realm needs a new folder"
        ));
    }
}

/// SIGTERM and Ctrl-C, heard from the beginning on: one that comes before anybody waits for it ends nothing unawares.
pub struct Told {
    terminate: Signal,
    interrupt: Signal,
}

impl Told {
    /// Begins to listen.
    pub fn listen() -> Result<Self, Failure> {
        let doing = "signals cannot be waited for";
        let terminate = signal(SignalKind::terminate()).map_err(failed(doing))?;
        let interrupt = signal(SignalKind::interrupt()).map_err(failed(doing))?;
        Ok(Self { terminate, interrupt })
    }

    /// Waits for one of them.
    pub async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
