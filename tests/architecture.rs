//! The arrows of ARCHITECTURE.md, held by a test: who may use whom, and what each room must not contain.
#![allow(missing_docs, clippy::unwrap_used)]

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Room → the rooms it may use. What is not here may use nothing.
const ARROWS: [(&str, &[&str]); 11] = [
    ("core", &[]),
    ("sip", &[]),
    // Who checks the evidence shares no code with who makes it.
    ("verify", &[]),
    ("journal", &["core"]),
    ("projections", &["core", "journal"]),
    ("commands", &["core", "journal"]),
    ("replay", &["core", "journal", "projections", "commands"]),
    ("sip-adapter", &["core", "commands", "projections", "sip"]),
    ("admin", &["core", "commands", "projections", "replay"]),
    ("bench", &["core", "journal", "commands", "projections", "replay", "sip"]),
    (
        "switchbook",
        &[
            "core",
            "sip",
            "verify",
            "journal",
            "projections",
            "commands",
            "replay",
            "sip-adapter",
            "admin",
        ],
    ),
];

/// Rooms of rules → the only outside packages they may use.
const PURE: [(&str, &[&str]); 2] = [
    ("core", &["chrono", "chrono-tz", "imbl", "serde", "thiserror", "uuid"]),
    (
        "sip",
        &[
            "bytes",
            "hmac",
            "md-5",
            "memchr",
            "rustc-hash",
            "sha2",
            "subtle",
            "thiserror",
            "zeroize",
        ],
    ),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn packages() -> Vec<Value> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

fn room(package: &str) -> &str {
    package.strip_prefix("switchbook-").unwrap_or(package)
}

/// What a package uses when it is built, not when it is tested.
fn dependencies(package: &Value) -> BTreeSet<String> {
    let all = package["dependencies"].as_array().unwrap();
    let built = all.iter().filter(|dependency| dependency["kind"].as_str() != Some("dev"));
    built.map(|dependency| dependency["name"].as_str().unwrap().to_owned()).collect()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with("target") && !name.starts_with('.') {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn sources_of(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    sources(&root().join(folder), &mut found);
    found.sort();
    found.into_iter().map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

/// The product part of a file: what stands before its tests.
fn product(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests").next().unwrap_or(text)
}

#[test]
fn every_room_uses_only_the_rooms_it_may() {
    let packages = packages();
    assert_eq!(packages.len(), ARROWS.len(), "a room is missing in the table of arrows");
    for package in &packages {
        let name = room(package["name"].as_str().unwrap()).to_owned();
        let allowed = ARROWS.iter().find(|(room, _)| *room == name).unwrap().1;
        for used in dependencies(package) {
            if let Some(used) = used.strip_prefix("switchbook-") {
                assert!(allowed.contains(&used), "{name} must not use {used}");
            }
        }
    }
}

#[test]
fn rooms_of_rules_know_no_runtime_no_clock_and_no_randomness() {
    for package in &packages() {
        let name = room(package["name"].as_str().unwrap()).to_owned();
        let Some((_, allowed)) = PURE.iter().find(|(room, _)| *room == name) else { continue };
        for used in dependencies(package) {
            assert!(allowed.contains(&used.as_str()), "{name} must not use {used}");
        }
    }
    let banned =
        ["SystemTime::now", "Instant::now", "Utc::now", "Local::now", "new_v4", "now_v7", "rand::"];
    for (path, text) in ["core/src", "sip/src"].iter().flat_map(|folder| sources_of(folder)) {
        for word in banned {
            assert!(!product(&text).contains(word), "{}: {word}", path.display());
        }
    }
}

#[test]
fn the_auditors_room_and_the_read_models_cannot_append() {
    for (path, text) in ["replay/src", "projections/src"].iter().flat_map(|f| sources_of(f)) {
        for word in ["EventStore", ".append(vec", "Commit {"] {
            assert!(!product(&text).contains(word), "{}: {word}", path.display());
        }
    }
}

#[test]
fn only_the_book_and_the_desk_append() {
    for (path, text) in
        ["sip-adapter/src", "admin/src", "core/src", "sip/src"].iter().flat_map(|f| sources_of(f))
    {
        assert!(!product(&text).contains("EventStore"), "{}", path.display());
    }
}

#[test]
fn no_file_is_longer_than_500_lines_without_a_reason_in_its_head() {
    for (path, text) in sources_of("") {
        let lines = text.lines().count();
        let reason = text.lines().take(12).any(|line| line.contains("Longer than 500 lines:"));
        assert!(lines <= 500 || reason, "{} has {lines} lines", path.display());
    }
}

#[test]
fn the_same_noun_has_the_same_file_in_each_room() {
    for noun in [
        "user",
        "number",
        "slot",
        "device",
        "group",
        "permission",
        "forwarding",
        "schedule",
        "trunk",
        "settings",
        "registration",
        "call",
    ] {
        for room in ["core", "commands"] {
            let file = root().join(room).join("src").join(format!("{noun}.rs"));
            assert!(file.is_file(), "{} is missing", file.display());
        }
    }
}

/// `file::name` or `file::begin_*`, as docs/security.md names tests.
fn named_test(word: &str, all: &[(PathBuf, String)]) -> bool {
    let Some((file, name)) = word.split_once("::") else { return true };
    let (begin, whole) = name.strip_suffix('*').map_or((name, true), |begin| (begin, false));
    let wanted = if whole { format!("fn {begin}(") } else { format!("fn {begin}") };
    all.iter().any(|(path, text)| {
        path.file_stem().is_some_and(|stem| stem == file)
            && text.lines().any(|line| line.contains(&wanted))
            && text.contains("#[test]") | text.contains("#[tokio::test")
    })
}

#[test]
fn every_line_of_the_attack_list_has_its_tests_and_they_exist() {
    let manual = std::fs::read_to_string(root().join("docs/security.md")).unwrap();
    let all = sources_of("");
    let mut lines = BTreeSet::new();
    for row in manual.lines().filter(|line| line.starts_with("| ")) {
        let first = row.trim_start_matches("| ").split('|').next().unwrap();
        lines.extend(first.split(',').filter_map(|line| line.trim().parse::<u8>().ok()));
        for word in row.split('`').skip(1).step_by(2) {
            assert!(named_test(word, &all), "docs/security.md names no test of ours: {word}");
        }
    }
    let missing: Vec<u8> =
        (1..=30).chain(37..=42).chain(51..=62).filter(|line| !lines.contains(line)).collect();
    assert!(missing.is_empty(), "docs/security.md says nothing of {missing:?}");
}
