//! `switchbook-verify proof`: a record in a sealed book, or one sealed book as the beginning of another.

use crate::frame::Body;
use crate::note::{Note, base64};
use crate::report::{Report, Unchecked};
use crate::tree::{self, Hash};
use crate::{Keys, Who};
use serde_json::{Value, json};
use std::path::Path;

/// Hashes in base64; `None` when one is none.
pub fn path(value: &Value) -> Option<Vec<Hash>> {
    let all = value.as_array()?.iter();
    all.map(|hash| base64(hash.as_str()?)?.try_into().ok()).collect()
}

fn read(file: &Path) -> Result<Value, Unchecked> {
    let text = std::fs::read_to_string(file).map_err(|e| Unchecked::unreadable(file, &e))?;
    let value: Option<Value> = serde_json::from_str(&text).ok();
    let ours = |value: &Value| value["switchbook_proof"] == 1;
    let name = file.display();
    value.filter(ours).ok_or_else(|| {
        Unchecked::new(
            format!("{name} is no proof of `switchbook audit prove --json` that this version knows"),
            format!("{name} ist kein Beweis von `switchbook audit prove --json`, den diese Version kennt"),
        )
    })
}

/// Checks one.
pub fn check(file: &Path, keys: &mut Keys) -> Result<Report, Unchecked> {
    let (value, place) = (read(file)?, file.display().to_string());
    let mut report = Report::default();
    let note = |name: &str| value[name].as_str().and_then(Note::parse);
    let wrong = |report: &mut Report| {
        report.bad(
            &place,
            "it is not whole, or not written as a proof is",
            "er ist nicht vollständig oder nicht wie ein Beweis geschrieben",
        );
    };
    let Some(path) = path(&value["path"]) else {
        wrong(&mut report);
        return Ok(report);
    };
    // Each says itself whose word it is; what is proved stands below.
    for handed in value["hand_overs"].as_array().into_iter().flatten() {
        match handed.as_str().and_then(Note::parse) {
            Some(note) => drop(keys.book_signed(&note)),
            None => wrong(&mut report),
        }
    }
    if value["kind"] == "inclusion" {
        let body = value["body"].as_str().and_then(base64);
        match (note("checkpoint"), value["position"].as_u64(), body) {
            (Some(note), Some(position), Some(body)) => {
                keys.check(&note, &place, Who::All, &mut report);
                inclusion(&note, position, &body, &path, &place, &mut report);
            }
            _ => wrong(&mut report),
        }
        return Ok(report);
    }
    match (note("older"), note("newer")) {
        (Some(older), Some(newer)) => {
            keys.check(&older, &place, Who::Book, &mut report);
            keys.check(&newer, &place, Who::All, &mut report);
            consistency(&older, &newer, &path, &place, &mut report);
        }
        _ => wrong(&mut report),
    }
    Ok(report)
}

/// A record in the tree of a checkpoint. Says whether it holds.
pub fn stands(note: &Note, position: u64, body: &[u8], path: &[Hash]) -> Result<(), &'static str> {
    let said = Body::read(body).ok_or("body")?.position;
    if said != position {
        return Err("position");
    }
    let root = position.checked_sub(1);
    let root = root.and_then(|index| tree::by_inclusion(index, note.size, tree::leaf(body), path));
    if root == Some(note.root) { Ok(()) } else { Err("root") }
}

fn inclusion(
    note: &Note,
    position: u64,
    body: &[u8],
    path: &[Hash],
    place: &str,
    report: &mut Report,
) {
    if let Err(what) = stands(note, position, body, path) {
        return not_there(report, place, position, what);
    }
    let size = note.size;
    let told = Body::read(body).map(|body| body.told()).unwrap_or_default();
    report.good(
        "included",
        json!({ "position": position, "size": size }),
        format!("record #{position} stands in the sealed book of {size} records: {told}"),
        format!("Eintrag #{position} steht im versiegelten Buch von {size} Einträgen: {told}"),
    );
}

/// Why a record is not where it is said to be.
pub fn not_there(report: &mut Report, place: &str, position: u64, what: &str) {
    let (english, german) = match what {
        "body" => ("its bytes are no record", "seine Bytes sind kein Eintrag"),
        "position" => ("its bytes say another position", "seine Bytes nennen eine andere Position"),
        _ => (
            "it does not stand in the sealed book: record, path or checkpoint was changed",
            "er steht nicht im versiegelten Buch: Eintrag, Pfad oder Prüfpunkt wurde verändert",
        ),
    };
    report.bad_at(place, None, Some(position), english, german);
}

/// One checkpoint as the beginning of another.
pub fn consistency(older: &Note, newer: &Note, path: &[Hash], place: &str, report: &mut Report) {
    let roots = tree::by_consistency(older.size, newer.size, older.root, path);
    let (first, second) = (older.size, newer.size);
    if older.origin != newer.origin || roots != Some((older.root, newer.root)) {
        report.bad(
            place,
            &format!("the book of {first} records is not shown to be the beginning of the one of {second}: something before was changed"),
            &format!("das Buch von {first} Einträgen ist nicht als Anfang dessen von {second} gezeigt: Etwas davor wurde verändert"),
        );
        return;
    }
    report.good(
        "consistent",
        json!({ "older": first, "newer": second }),
        format!("the sealed book of {first} records is the beginning of the one of {second}"),
        format!("das versiegelte Buch von {first} Einträgen ist der Anfang dessen von {second}"),
    );
}
