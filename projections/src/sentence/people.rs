//! Settings, refusals, users, groups and permissions in words.

use super::{bare, evidence};
use crate::names::Naming;
use crate::text;
use crate::text::Text;
use switchbook_core::event::Event;
use switchbook_core::permission::Grant;
use switchbook_core::settings::DigestPolicy;
use switchbook_core::user::Language;

pub(super) fn line(event: &Event, names: &dyn Naming) -> Text {
    match event {
        Event::ExchangeFounded(_)
        | Event::ServerStarted(_)
        | Event::ServerStopped(_)
        | Event::TimeZoneSet(_)
        | Event::DigestPolicySet(_)
        | Event::ForwardingTargetBlocked(_)
        | Event::ForwardingTargetUnblocked(_)
        | Event::AttemptRefused(_)
        | Event::PersonalFieldsOpened(_)
        | Event::BackupTaken(_) => exchange(event, names),
        Event::BookSealed(_)
        | Event::SealingKeyMade(_)
        | Event::RetentionSet(_)
        | Event::PeriodErased(_)
        | Event::PersonErased(_) => evidence::line(event, names),
        Event::UserAdded(_)
        | Event::UserDeleted(_)
        | Event::UserRenamed(_)
        | Event::PasswordSet(_)
        | Event::PinSet(_)
        | Event::DoNotDisturbSet(_)
        | Event::CallerIdChosen(_)
        | Event::LanguageChosen(_)
        | Event::UserTimeZoneSet(_)
        | Event::ContactDetailsChanged(_) => user(event, names),
        _ => group(event, names),
    }
}

fn exchange(event: &Event, names: &dyn Naming) -> Text {
    match event {
        Event::ExchangeFounded(e) => {
            let (realm, zone) = (&e.realm, e.time_zone);
            text!(
                "the exchange {realm} was founded, time zone {zone}",
                "die Anlage {realm} wurde gegründet, Zeitzone {zone}"
            )
        }
        Event::ServerStarted(e) => {
            let version = &e.version;
            if e.clean {
                text!(
                    "Switchbook {version} started after a clean stop",
                    "Switchbook {version} ist nach sauberem Halt gestartet"
                )
            } else {
                text!(
                    "Switchbook {version} started after a stop without notice",
                    "Switchbook {version} ist nach einem Halt ohne Ankündigung gestartet"
                )
            }
        }
        Event::ServerStopped(_) => {
            text!("Switchbook stopped on request", "Switchbook wurde auf Anforderung angehalten")
        }
        Event::TimeZoneSet(e) => {
            let zone = e.time_zone;
            text!("the system's time zone became {zone}", "die Zeitzone des Systems wurde {zone}")
        }
        Event::DigestPolicySet(e) => match e.policy {
            DigestPolicy::Md5ThenSha256 => text!(
                "phones may prove themselves with MD5 or SHA-256",
                "Telefone dürfen sich mit MD5 oder SHA-256 ausweisen"
            ),
            DigestPolicy::Sha256Only => text!(
                "phones must prove themselves with SHA-256",
                "Telefone müssen sich mit SHA-256 ausweisen"
            ),
        },
        Event::ForwardingTargetBlocked(e) => {
            let prefix = e.prefix;
            text!(
                "numbers beginning with {prefix} were blocked as forwarding targets",
                "Rufnummern ab {prefix} wurden als Umleitungsziele gesperrt"
            )
        }
        Event::ForwardingTargetUnblocked(e) => {
            let prefix = e.prefix;
            text!(
                "numbers beginning with {prefix} were allowed as forwarding targets again",
                "Rufnummern ab {prefix} wurden als Umleitungsziele wieder freigegeben"
            )
        }
        Event::AttemptRefused(e) => {
            let (what, code) = (&e.what, &e.code);
            let about: Vec<String> = e.about.iter().map(|one| names.subject(*one)).collect();
            let about = about.join(", ");
            let mut line = if about.is_empty() {
                text!("{what} was refused: {code}", "{what} wurde abgewiesen: {code}")
            } else {
                text!(
                    "{what} was refused: {code} ({about})",
                    "{what} wurde abgewiesen: {code} ({about})"
                )
            };
            if e.suppressed > 0 {
                let more = e.suppressed;
                line.push(&text!(
                    ", and {more} more of the same",
                    ", und {more} weitere derselben Art"
                ));
            }
            line
        }
        Event::PersonalFieldsOpened(e) => {
            let view = &e.view;
            match e.person.map(|person| names.user(person)) {
                Some(person) => text!(
                    "personal fields of {person} were opened by `{view}`",
                    "personenbezogene Felder von {person} wurden mit `{view}` geöffnet"
                ),
                None => text!(
                    "personal fields were opened by `{view}`",
                    "personenbezogene Felder wurden mit `{view}` geöffnet"
                ),
            }
        }
        Event::BackupTaken(e) => {
            let target = &e.target;
            text!(
                "a copy of the whole book, keys and secrets included, was taken as `{target}`",
                "eine Kopie des ganzen Buchs mit Schlüsseln und Geheimnissen wurde als `{target}` gezogen"
            )
        }
        other => bare(other),
    }
}

fn user(event: &Event, names: &dyn Naming) -> Text {
    match event {
        Event::UserAdded(e) => {
            let (user, display) = (&e.username, &e.display_name);
            text!("user {user} ({display}) was added", "Benutzer {user} ({display}) wurde angelegt")
        }
        Event::UserDeleted(e) => {
            let user = names.user(e.user);
            let mut line = text!("user {user} was deleted", "Benutzer {user} wurde gelöscht");
            if !e.numbers_freed.is_empty() {
                let freed: Vec<&str> = e.numbers_freed.iter().map(|n| n.as_str()).collect();
                let freed = freed.join(", ");
                line.push(&text!("; free again: {freed}", "; wieder frei: {freed}"));
            }
            let out: Vec<String> = e.devices_logged_out.iter().map(|d| names.device(*d)).collect();
            if !out.is_empty() {
                let out = out.join(", ");
                line.push(&text!("; logged out: {out}", "; abgemeldet: {out}"));
            }
            line
        }
        Event::UserRenamed(e) => {
            let (user, display) = (names.user(e.user), &e.display_name);
            text!("{user} is shown as {display}", "{user} wird als {display} angezeigt")
        }
        Event::PasswordSet(e) => {
            let user = names.user(e.user);
            text!("the password of {user} was set", "das Kennwort von {user} wurde gesetzt")
        }
        Event::PinSet(e) => {
            let user = names.user(e.user);
            text!("the PIN of {user} was set", "die PIN von {user} wurde gesetzt")
        }
        Event::DoNotDisturbSet(e) => {
            let user = names.user(e.user);
            if e.on {
                text!(
                    "do not disturb of {user} was switched on",
                    "„Nicht stören“ von {user} wurde eingeschaltet"
                )
            } else {
                text!(
                    "do not disturb of {user} was switched off",
                    "„Nicht stören“ von {user} wurde ausgeschaltet"
                )
            }
        }
        Event::CallerIdChosen(e) => {
            let user = names.user(e.user);
            match e.number {
                Some(number) => text!(
                    "{user} is shown to others with {number}",
                    "{user} wird anderen mit {number} angezeigt"
                ),
                None => text!(
                    "{user} is shown to others with the number in use",
                    "{user} wird anderen mit der benutzten Rufnummer angezeigt"
                ),
            }
        }
        Event::LanguageChosen(e) => {
            let user = names.user(e.user);
            match e.language {
                Some(Language::German) => {
                    text!("the language of {user} became German", "Sprache von {user}: Deutsch")
                }
                Some(Language::English) => {
                    text!("the language of {user} became English", "Sprache von {user}: Englisch")
                }
                None => text!(
                    "the language of {user} is that of group or system again",
                    "Sprache von {user}: wieder die der Gruppe oder des Systems"
                ),
            }
        }
        Event::UserTimeZoneSet(e) => {
            let user = names.user(e.user);
            match e.time_zone {
                Some(zone) => text!(
                    "the time zone of {user} became {zone}",
                    "die Zeitzone von {user} wurde {zone}"
                ),
                None => text!(
                    "the time zone of {user} is that of group or system again",
                    "die Zeitzone von {user} ist wieder die der Gruppe oder des Systems"
                ),
            }
        }
        Event::ContactDetailsChanged(e) => {
            let user = names.user(e.user);
            let field = |value: &Option<switchbook_core::personal::Personal>| {
                value.as_ref().map_or_else(|| "–".to_owned(), ToString::to_string)
            };
            let (mail, mobile) = (field(&e.email), field(&e.mobile));
            text!(
                "contact details of {user}: mail {mail}, mobile {mobile}",
                "Kontaktdaten von {user}: E-Mail {mail}, Mobil {mobile}"
            )
        }
        other => bare(other),
    }
}

fn group(event: &Event, names: &dyn Naming) -> Text {
    match event {
        Event::GroupAdded(e) => {
            let (name, title, kind) = (&e.name, &e.title, e.kind.word());
            text!(
                "group {name} ({title}, {kind}) was added",
                "Gruppe {name} ({title}, {kind}) wurde angelegt"
            )
        }
        Event::GroupRemoved(e) => {
            let group = names.group(e.group);
            text!(
                "group {group} was removed, and every permission that named it",
                "Gruppe {group} wurde entfernt, mit allen Berechtigungen, die sie nannten"
            )
        }
        Event::GroupMemberAdded(e) => {
            let (group, member) = (names.group(e.group), names.member(e.member));
            text!("{member} was put into group {group}", "{member} kam in die Gruppe {group}")
        }
        Event::GroupMemberRemoved(e) => {
            let (group, member) = (names.group(e.group), names.member(e.member));
            text!(
                "{member} was taken out of group {group}",
                "{member} wurde aus der Gruppe {group} genommen"
            )
        }
        Event::GroupTimeZoneSet(e) => {
            let group = names.group(e.group);
            match e.time_zone {
                Some(zone) => text!(
                    "the time zone of group {group} became {zone}",
                    "die Zeitzone der Gruppe {group} wurde {zone}"
                ),
                None => text!(
                    "group {group} has no time zone of its own any more",
                    "die Gruppe {group} hat keine eigene Zeitzone mehr"
                ),
            }
        }
        Event::GroupRetitled(e) => {
            let (group, title) = (names.group(e.group), &e.title);
            text!("group {group} is titled {title}", "die Gruppe {group} heißt jetzt {title}")
        }
        Event::PermissionGranted(e) => {
            let (who, right) = grant(&e.grant, names);
            text!("group {who} was granted {right}", "die Gruppe {who} erhielt {right}")
        }
        Event::PermissionWithdrawn(e) => {
            let (who, right) = grant(&e.grant, names);
            text!(
                "{right} was withdrawn from group {who}",
                "der Gruppe {who} wurde {right} entzogen"
            )
        }
        other => bare(other),
    }
}

fn grant(grant: &Grant, names: &dyn Naming) -> (String, String) {
    let right = match grant.target {
        Some(target) => format!("{} → {}", grant.permission, names.group(target)),
        None => grant.permission.to_string(),
    };
    (names.group(grant.subject), right)
}
