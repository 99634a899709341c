//! Where the server keeps its book and what it listens on: flags before the file, the file before the defaults.

use crate::failure::Failure;
use crate::seal::{Place, Times, time};
use serde::Deserialize;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

/// Everything that can be set. No file is needed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Folder of the book.
    pub data: Option<PathBuf>,
    /// List of erasures; beside the folder of the book when not set.
    pub erasures: Option<PathBuf>,
    /// So many restore points are kept, the newest; 2 when not set.
    pub restore_points: Option<usize>,
    /// UDP address for phones; `0.0.0.0:5060` when not set.
    pub sip: Option<SocketAddr>,
    /// Names that phones know this server by, besides the realm and its addresses.
    pub names: Vec<String>,
    /// The address phones know it by, when that is not one of this machine's own (port forwarding).
    pub advertised: Option<IpAddr>,
    /// Address for `/health` and `/metrics`, or `none`; `127.0.0.1:8060` when not set.
    pub http: Option<Http>,
    /// Digest realm and SIP domain of a new book; fixed when the folder is made (X-24).
    pub realm: Option<String>,
    /// System time zone of a new book.
    pub time_zone: Option<chrono_tz::Tz>,
    /// Registration expiry, in seconds.
    pub registration: Registration,
    /// How calls are carried.
    pub calls: Calls,
    /// Limits against floods.
    pub limits: Limits,
    /// Pauses after wrong passwords.
    pub guessing: Guessing,
    /// Limits of the HTTP face.
    pub http_limits: HttpLimits,
    /// Sealing by itself, and where checkpoints go.
    pub seal: Seal,
    /// What is logged on standard error: `warn` when not set, `switchbook=debug` for more.
    pub log: Option<String>,
    /// Begin with an empty vault beside a book that is not empty. Never from the file: only once, by flag.
    #[serde(skip)]
    pub accept_lost_vault: bool,
    /// Begin a new list of erasures for a book that is not new. Only once, by flag.
    #[serde(skip)]
    pub accept_lost_erasures: bool,
}

/// Bounds of a registration's expiry, in seconds (RFC 3261 §10.3 step 6).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Registration {
    /// Less is answered 423.
    pub min: u32,
    /// When the phone asks for nothing.
    pub default: u32,
    /// More is granted as this.
    pub max: u32,
    /// Addresses in one REGISTER; a phone never has more than 5.
    pub contacts: usize,
}

impl Default for Registration {
    fn default() -> Self {
        Self { min: 60, default: 3600, max: 7200, contacts: 5 }
    }
}

/// How calls are carried.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Calls {
    /// Seconds a trunk may take to answer.
    pub trunk_ring: u32,
    /// Every so many seconds both ends of an answered call are asked whether they are still there.
    pub alive_check: u32,
    /// What a stop of the server does to calls in progress.
    pub on_stop: AtStop,
}

impl Default for Calls {
    fn default() -> Self {
        Self { trunk_ring: 180, alive_check: 300, on_stop: AtStop::HangUp }
    }
}

/// What a stop of the server does to calls in progress.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AtStop {
    /// They are ended.
    HangUp,
    /// Phones go on talking to each other until they hang up.
    Leave,
}

/// Limits of the SIP side. Calls for help pass those on calls.
#[derive(Clone, Copy, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Calls at once.
    pub calls: usize,
    /// Calls at once that one phone has placed.
    pub calls_per_device: usize,
    /// Calls from one address.
    pub calls_from_source: PerSecond,
    /// Calls that one trunk sends in.
    pub calls_from_trunk: Pace,
    /// Calls and feature codes of one phone.
    pub calls_placed: Pace,
    /// Changes of one phone's bindings; refreshes do not count.
    pub binding_events: Pace,
    /// Calls for help of one phone: a bound for machines.
    pub calls_for_help: Pace,
    /// REGISTERs of one phone, refreshes included.
    pub registers: Pace,
    /// Bytes of answers to an address that has not proven who it is.
    pub answers_to_strangers: PerSecond,
    /// Seconds a digest nonce lives.
    pub nonce_lifetime: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            calls: 10_000,
            calls_per_device: 20,
            calls_from_source: PerSecond { burst: 2_000, per_second: 500 },
            calls_from_trunk: Pace { burst: 300, seconds: 0.02 },
            calls_placed: Pace { burst: 60, seconds: 0.5 },
            binding_events: Pace { burst: 30, seconds: 10.0 },
            calls_for_help: Pace { burst: 100, seconds: 1.0 },
            registers: Pace { burst: 100, seconds: 0.1 },
            answers_to_strangers: PerSecond { burst: 2_097_152, per_second: 65_536 },
            nonce_lifetime: 300,
        }
    }
}

/// So many at once, then so many a second.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PerSecond {
    /// At once.
    pub burst: u32,
    /// A second.
    pub per_second: u32,
}

/// So many at once, then one in so many seconds.
#[derive(Clone, Copy, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pace {
    /// At once.
    pub burst: u32,
    /// One more after so many seconds.
    pub seconds: f64,
}

/// Pauses after wrong passwords, per account and address, and per address. The first pause is a second; each doubles.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Guessing {
    /// Wrong passwords for one account from one address that cost nothing.
    pub free: u32,
    /// Wrong passwords from one address that cost nothing, for all accounts together.
    pub free_per_source: u32,
    /// The longest pause, in seconds.
    pub longest_pause: u32,
    /// After so many seconds without a wrong password all is forgotten.
    pub memory: u32,
}

impl Default for Guessing {
    fn default() -> Self {
        Self { free: 5, free_per_source: 100, longest_pause: 60, memory: 900 }
    }
}

/// Limits of the HTTP face.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpLimits {
    /// Connections at once.
    pub connections: usize,
    /// Of these, from one address.
    pub per_peer: usize,
    /// Seconds until a request's head must be there.
    pub head_seconds: u32,
    /// Seconds a connection lives.
    pub lifetime: u32,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self { connections: 256, per_peer: 32, head_seconds: 10, lifetime: 60 }
    }
}

/// When the book seals itself, and where checkpoints go.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Seal {
    /// Every so many minutes.
    pub every: Option<u32>,
    /// Daily at these times (`06:30`), on the wall clock of the exchange.
    #[serde(deserialize_with = "times_of_day")]
    pub at: Vec<chrono::NaiveTime>,
    /// A list they are appended to; on a disk of another machine.
    pub file: Option<PathBuf>,
    /// An address outside that takes them by POST.
    #[serde(deserialize_with = "outside")]
    pub url: Option<Place>,
    /// Certificates (PEM) of the authority that vouches for that address, instead of the public ones.
    pub authority: Option<PathBuf>,
}

fn times_of_day<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<chrono::NaiveTime>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().map(|text| time(text).map_err(serde::de::Error::custom)).collect()
}

fn outside<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Place>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Place::url(&text).map(Some).map_err(serde::de::Error::custom)
}

impl Seal {
    /// When.
    pub fn times(&self) -> Times {
        Times { every: self.every, at: self.at.clone() }
    }

    /// Where to.
    pub fn places(&self) -> Vec<Place> {
        let url = self.url.clone().map(|url| url.vouched_for_by(self.authority.clone()));
        self.file.clone().map(Place::File).into_iter().chain(url).collect()
    }
}

/// An address, or nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Http {
    /// Listen there.
    Address(SocketAddr),
    /// Do not listen.
    None,
}

impl std::str::FromStr for Http {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self::None);
        }
        text.parse()
            .map(Self::Address)
            .map_err(|_| format!("`{text}` is no address: write it like 127.0.0.1:8060, or none"))
    }
}

impl<'de> Deserialize<'de> for Http {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Settings {
    /// From a TOML file.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::new(format!("the configuration {} cannot be read: {error}", path.display()))
        })?;
        let wrong = |why: String| {
            Failure::new(format!("the configuration {} is wrong:\n{why}", path.display()))
                .advice("docs/configuration.md lists every setting.")
        };
        let settings: Self = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        match settings.senseless() {
            Some(why) => Err(wrong(why)),
            None => Ok(settings),
        }
    }

    /// What can be read and makes no sense all the same: the setting by its name, and what it needs.
    fn senseless(&self) -> Option<String> {
        let Self { registration, calls, limits, guessing, http_limits, .. } = self;
        let ordered = registration.min <= registration.default
            && registration.default <= registration.max
            && registration.min > 0;
        let paces = [
            limits.calls_placed,
            limits.calls_for_help,
            limits.calls_from_trunk,
            limits.binding_events,
            limits.registers,
        ];
        let seconds = |pace: &Pace| (0.001..=86_400.0).contains(&pace.seconds);
        let rules = [
            (self.restore_points != Some(0), "restore_points is 1 or more"),
            (ordered, "[registration] needs 0 < min <= default <= max"),
            (
                (1..=5).contains(&registration.contacts),
                "[registration] contacts is between 1 and 5",
            ),
            (calls.trunk_ring >= 10, "[calls] trunk_ring is 10 seconds or more"),
            (calls.alive_check >= 30, "[calls] alive_check is 30 seconds or more"),
            (
                paces.iter().all(|pace| pace.burst > 0 && seconds(pace)),
                "[limits] calls_placed, calls_for_help, calls_from_trunk, binding_events and registers need burst > 0 and seconds from 0.001 to 86400",
            ),
            (limits.calls_for_help.burst >= 10, "[limits] calls_for_help needs burst >= 10"),
            (limits.calls_per_device > 0, "[limits] calls_per_device is 1 or more"),
            (
                limits.calls_from_source.burst > 0 && limits.calls_from_source.per_second > 0,
                "[limits] calls_from_source needs burst and per_second of 1 or more",
            ),
            (
                limits.answers_to_strangers.burst >= 4096
                    && limits.answers_to_strangers.per_second >= 1024,
                "[limits] answers_to_strangers needs burst >= 4096 and per_second >= 1024 bytes: less than an answer or two locks every phone out",
            ),
            (limits.nonce_lifetime >= 10, "[limits] nonce_lifetime is 10 seconds or more"),
            (guessing.longest_pause > 0, "[guessing] longest_pause is 1 second or more"),
            (
                guessing.memory >= guessing.longest_pause,
                "[guessing] memory is no shorter than longest_pause",
            ),
            (
                http_limits.connections > 0 && http_limits.per_peer > 0,
                "[http_limits] connections and per_peer are 1 or more",
            ),
            (
                http_limits.head_seconds > 0 && http_limits.lifetime > 0,
                "[http_limits] head_seconds and lifetime are 1 or more",
            ),
        ];
        rules.into_iter().find(|(holds, _)| !holds).map(|(_, why)| why.to_owned())
    }
}

/// The folder when none is named: `SWITCHBOOK_DATA`, else the system's place for root, else the user's.
pub fn default_data() -> PathBuf {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(folder) = set("SWITCHBOOK_DATA") {
        return folder;
    }
    if rustix::process::geteuid().is_root() {
        return PathBuf::from("/var/lib/switchbook");
    }
    let home = set("HOME").unwrap_or_else(|| PathBuf::from("."));
    set("XDG_DATA_HOME").unwrap_or_else(|| home.join(".local/share")).join("switchbook")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> &'static str {
        let manual = include_str!("../docs/configuration.md");
        manual.split("```toml\n").nth(1).unwrap().split("```").next().unwrap()
    }

    /// The manual's example is read, and its numbers are the defaults.
    #[test]
    fn the_example_in_the_manual_is_right() {
        let settings: Settings = toml::from_str(example()).unwrap();
        assert_eq!(settings.realm.as_deref(), Some("pbx.example.com"));
        assert_eq!(settings.http, Some(Http::Address("127.0.0.1:8060".parse().unwrap())));
        assert_eq!(settings.names, ["sip.example.com"]);
        assert_eq!((settings.seal.every, settings.seal.at.len()), (Some(60), 2));
        assert_eq!(settings.seal.places().len(), 2);
        assert!(settings.erasures.is_some());
        assert_eq!(settings.restore_points, Some(crate::house::RESTORE_POINTS));
        assert_eq!(settings.registration, Registration::default());
        assert_eq!(settings.calls, Calls::default());
        assert_eq!(settings.limits, Limits::default());
        assert_eq!(settings.guessing, Guessing::default());
        assert_eq!(settings.http_limits, HttpLimits::default());
        assert_eq!(settings.senseless(), None);
    }

    /// Asked for what is not there, the reader names all that is: each has its line in the manual.
    #[test]
    fn the_manual_names_every_setting() {
        let example: toml::Table = toml::from_str(example()).unwrap();
        let mut tables = vec![(String::new(), &example)];
        for (name, value) in &example {
            tables.extend(value.as_table().map(|table| (name.clone(), table)));
        }
        assert_eq!(tables.len(), 7);
        for (name, table) in tables {
            let text = match name.as_str() {
                "" => "what = 1".to_owned(),
                name => format!("[{name}]\nwhat = 1"),
            };
            let error = toml::from_str::<Settings>(&text).unwrap_err().to_string();
            let expected = error.split("expected one of").nth(1).unwrap();
            let fields: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
            assert!(fields.len() >= 3, "{error}");
            for field in fields {
                assert!(table.contains_key(field), "[{name}] {field} is not in the manual");
            }
        }
    }

    #[test]
    fn a_setting_that_does_not_exist_is_named() {
        for (text, key) in [
            ("sipp = \"0.0.0.0:5060\"", "sipp"),
            ("[limits]\ncals = 1", "cals"),
            ("[calls]\nalive = 1", "alive"),
            ("[limits]\ncalls_placed = { burst = 1, seconds = 1, hours = 1 }", "hours"),
            ("[call]\ntrunk_ring = 1", "call"),
            ("accept_lost_vault = true", "accept_lost_vault"),
        ] {
            let error = toml::from_str::<Settings>(text).unwrap_err().to_string();
            assert!(error.contains(&format!("`{key}`")) && error.contains("expected"), "{error}");
        }
    }

    #[test]
    fn a_setting_that_makes_no_sense_is_named() {
        for (text, named) in [
            ("[registration]\nmin = 100\ndefault = 50", "[registration]"),
            ("[registration]\ncontacts = 6", "contacts"),
            ("restore_points = 0", "restore_points"),
            ("[calls]\nalive_check = 0", "alive_check"),
            ("[calls]\ntrunk_ring = 1", "trunk_ring"),
            ("[limits]\ncalls_placed = { burst = 1, seconds = 0.0 }", "calls_placed"),
            ("[limits]\ncalls_from_trunk = { burst = 0, seconds = 1.0 }", "calls_from_trunk"),
            ("[limits]\nbinding_events = { burst = 1, seconds = nan }", "binding_events"),
            ("[limits]\nanswers_to_strangers = { burst = 1, per_second = 1 }", "answers"),
            ("[guessing]\nmemory = 1", "memory"),
            ("[http_limits]\nper_peer = 0", "per_peer"),
        ] {
            let settings: Settings = toml::from_str(text).unwrap();
            let why = settings.senseless().unwrap_or_else(|| panic!("{text} is taken"));
            assert!(why.contains(named), "{text}: {why}");
        }
    }
}
