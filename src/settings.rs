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
    /// Limits against floods and guessing.
    pub limits: Limits,
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
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Registration {
    /// Less is answered 423.
    pub min: u32,
    /// When the phone asks for nothing.
    pub default: u32,
    /// More is granted as this.
    pub max: u32,
}

impl Default for Registration {
    fn default() -> Self {
        Self { min: 60, default: 3600, max: 7200 }
    }
}

/// Limits of the SIP side.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Calls at once.
    pub calls: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { calls: 10_000 }
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
        self.file.clone().map(Place::File).into_iter().chain(self.url.clone()).collect()
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
        toml::from_str(&text).map_err(|error| {
            Failure::new(format!("the configuration {} is wrong:\n{error}", path.display()))
                .advice("docs/configuration.md lists every setting.")
        })
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

    /// The manual's example is read, and names every setting there is.
    #[test]
    fn the_example_in_the_manual_is_right() {
        let manual = include_str!("../docs/configuration.md");
        let example = manual.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
        let settings: Settings = toml::from_str(example).unwrap();
        assert_eq!(settings.realm.as_deref(), Some("pbx.example.com"));
        assert_eq!(settings.http, Some(Http::Address("127.0.0.1:8060".parse().unwrap())));
        assert_eq!(settings.names, ["sip.example.com"]);
        assert_eq!(settings.registration.max, 7200);
        assert_eq!((settings.seal.every, settings.seal.at.len()), (Some(60), 2));
        assert_eq!(settings.seal.places().len(), 2);
        assert!(settings.erasures.is_some());
    }

    #[test]
    fn a_setting_that_does_not_exist_is_named() {
        let error = toml::from_str::<Settings>("sipp = \"0.0.0.0:5060\"").unwrap_err().to_string();
        assert!(error.contains("sipp") && error.contains("expected one of"), "{error}");
    }
}
