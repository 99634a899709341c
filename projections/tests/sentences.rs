//! Every kind of event and every reason of a plan has a sentence of its own in both languages.
#![allow(missing_docs, clippy::unwrap_used)]
#![recursion_limit = "1024"]

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use switchbook_core::event::{Event, PayloadDecoder};
use switchbook_core::routing::plan::Says;
use switchbook_projections::{NameBook, payload, sentence};

struct Json;

impl PayloadDecoder for Json {
    type Error = serde_json::Error;

    fn decode<T: DeserializeOwned>(&self, payload: &[u8]) -> Result<T, Self::Error> {
        serde_json::from_slice(payload)
    }
}

const ID: &str = "00000000-0000-0000-0000-00000000000a";

/// One payload that has every field any event has; what an event does not have is passed over. Personal values are
/// sealed and closed, as an auditor without keys reads them.
fn everything(name: &str) -> Value {
    let personal = json!([{"Period": 202_611}, "01"]);
    let person = json!([{"Person": ID}, "02"]);
    let secret = json!({"id": ID, "version": 1});
    let grant = json!({"subject": ID, "permission": "Roaming", "target": ID});
    let follow_me =
        json!({"device": ID, "origin": "Internal", "enabled": true, "wait": 1, "ring": 2});
    let binding = json!({
        "binding": 1, "contact": personal, "parameters": "", "instance": null, "source": personal,
        "behind_nat": true, "granted": 60, "expires_at": 1, "call_id": 1,
        "cseq": 1, "user_agent": null,
    });
    let mut all = json!({
        "book": ID, "realm": "pbx.test", "time_zone": "Europe/Berlin", "all_users": ID, "all_hosts": ID,
        "admins": ID, "version": "1.0", "clean": true, "policy": "Sha256Only", "what": "device.log_out",
        "code": "ROAMING_DENIED", "about": [{"User": ID}, "Exchange"], "suppressed": 2, "view": "audit history",
        "person": ID, "prefix": "0900", "user": ID, "username": person, "display_name": person,
        "email": person, "mobile": null, "language": "German", "numbers_freed": ["100"],
        "profiles_deleted": [], "schedules_removed": [], "slots_removed": [], "devices_logged_out": [ID],
        "groups_left": [], "secret": secret, "on": true, "number": "100", "slot": ID, "schedules": [],
        "scope": "Calls", "name": "desk", "device_type": "Desk", "device": ID, "mac": null,
        "service_number": null, "reason": "LastNumber", "entry": follow_me, "group": ID, "kind": "User",
        "title": "Sales", "member": {"Device": ID}, "grant": grant, "profile": ID, "owner": ID,
        "rules": [{"condition": {"NoAnswer": {"after": 20}}, "origin": "External", "target": "Voicemail"}],
        "reach": {"UntilWindowEnds": 1_795_431_600_000_000_i64}, "schedule": ID,
        "pattern": {"Dated": {"from": "2026-11-23T12:00:00", "to": "2026-11-23T13:00:00"}}, "priority": 1,
        "edge": "Begins", "due": 1, "utc_offset": 3600, "tz_data": "2026a", "late": true, "after": 1,
        "until": 2, "edges": 3, "trunk": ID, "peer": "192.0.2.1:5060", "outbound_prefix": "0",
        "base_number": null, "rule": {"dialled": "4930100", "number": "100"}, "dialled": "4930100",
        "binding": binding, "expired_at": 1, "call": ID, "caller": {"Device": {"device": ID, "number": null}},
        "origin": "Internal", "facts": {"devices": [], "numbers_in_use": []}, "decided_on": 1,
        "decided_for": 1, "plan": "{}", "answered_at": 1, "from": "100", "to": "300", "status": "NoAnswer",
        "outcome": "Cancelled", "ended_at": 1, "cause": 16, "rang": [ID], "records": 4,
    });
    let of_seals_and_erasures = json!({
        "size": 300, "root": vec![7_u8; 32], "key": 3, "checkpoint": "pbx.test/b", "verifier": "pbx.test/b+00000000+AQ==",
        "months": 6, "period": 202_605, "target": "copy.tar",
    });
    all.as_object_mut().unwrap().extend(of_seals_and_erasures.as_object().unwrap().clone());
    match name {
        "ProfileAdded" | "ProfileRenamed" => all["name"] = person,
        "RegistrationRemoved" | "RegistrationExpired" => all["binding"] = json!(1),
        "CallPlaced" => all["dialled"] = json!({"Outside": {"prefix": "+49891", "rest": personal}}),
        "CallRecordsMissed" => {
            all["from"] = json!(1);
            all["until"] = json!(2);
        }
        _ => {}
    }
    all
}

#[test]
fn every_kind_of_event_has_a_sentence_in_both_languages() {
    let mut seen = std::collections::BTreeSet::new();
    for (tag, version, name) in Event::REGISTER {
        let payload = serde_json::to_vec(&everything(name)).unwrap();
        let event = Event::decode(*tag, *version, &payload, &Json)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let line = sentence::event(&event, &NameBook::default(), chrono_tz::Europe::Berlin);
        assert!(line.en.contains(' ') && line.de.contains(' '), "{name}: {line:?}");
        assert_ne!(line.en, line.de, "{name}");
        assert!(seen.insert(line.en.clone()), "{name} says what another says: {}", line.en);
        let readable = payload::readable(&event).to_string();
        assert!(!readable.contains("Period"), "{name} shows sealed bytes: {readable}");
    }
}

#[test]
fn every_reason_of_a_plan_has_a_sentence_in_both_languages() {
    let fields = json!({
        "trunk": ID, "user": ID, "granted": false, "number": "100", "slot": ID, "schedule": ID, "profile": ID,
        "from": 1, "to": 2, "over_schedule": true, "condition": "Busy", "target": {"Number": "300"},
        "device": ID, "wait": 1, "ring": 2, "path": ["100", "300", "100"],
    });
    let kinds = [
        "emergency",
        "next_trunk",
        "outbound_prefix",
        "outbound_right",
        "inbound",
        "unknown_number",
        "no_number_on_slot",
        "schedule",
        "manual",
        "rule",
        "do_not_disturb",
        "busy_if_any",
        "ticked",
        "follow_me_off",
        "follow_me",
        "not_registered",
        "in_call",
        "call_waiting",
        "nobody_logged_in",
        "target_blocked",
        "loop",
        "too_many_steps",
        "nothing_else",
    ];
    for kind in kinds {
        let mut payload = fields.clone();
        payload["says"] = json!(kind);
        if kind == "next_trunk" {
            payload["after"] = json!(ID);
        }
        if kind == "target_blocked" {
            payload["target"] = json!("300");
        }
        let says: Says = serde_json::from_value(payload).unwrap();
        let line = sentence::reason(&says, &NameBook::default(), chrono_tz::Tz::UTC);
        assert!(line.en.contains(' ') && line.en != line.de, "{kind}: {line:?}");
    }
}
