//! Every command of the exchange on the command line: nouns, verbs, arguments.
//!
//! Longer than 500 lines: one table, and the test that holds it to the exchange.

use super::verbs::{Argument, Kind, Verb, arg};
use serde_json::{Map, Value};

/// What a noun is about.
pub fn about(noun: &str) -> &'static str {
    match noun {
        "user" => "Users (Benutzer): people, with their numbers, slots and devices",
        "number" => "Numbers (Rufnummern) and the number×slot matrix",
        "slot" => "Slots (Endgeräte-Slots): places for a user's devices",
        "device" => "Devices (Telefone), their passwords and log-ins",
        "group" => "Groups of users and phones",
        "permission" => "Permissions (Berechtigungen): user group, right, target group",
        "profile" => "Forwarding profiles (Rufumleitungsprofile)",
        "forwarding" => "Which profile is set for a number by hand",
        "schedule" => "Which profile a number uses when (Zeitsteuerung)",
        "trunk" => "Trunks (Ämter) to the public network",
        "settings" => "Settings of the exchange",
        "person" => "Everything about one person: handed out, or erased for ever",
        "period" => "Months of outside numbers",
        "matrix" => "The number×slot matrix (Rufnummernkonfiguration)",
        "registration" => "Where devices are registered",
        "call" => "Calls, past and present",
        _ => "",
    }
}

/// All commands, in the order of the manual.
pub const COMMANDS: &[Verb] = &[
    Verb {
        name: "user.add",
        about: "Adds a user, with numbers, slots and devices if wanted: all or nothing",
        arguments: &[
            arg("username", "username", Kind::Place, "Log-in name, lower case"),
            arg("display_name", "display-name", Kind::Place, "What called parties see"),
            arg(
                "numbers",
                "number",
                Kind::List,
                "A number he gets (repeat, or separate by commas)",
            ),
            arg("slots", "slot", Kind::Each(slot), "A slot he gets: its type, or type=name"),
            arg(
                "devices",
                "device",
                Kind::Each(device),
                "A device made for him and logged in: name=type; its password: `device password`",
            ),
            arg("groups", "group", Kind::List, "A user group he is put into"),
            arg("email", "email", Kind::Text, "Where voicemail and faxes go"),
            arg("mobile", "mobile", Kind::Text, "His mobile number"),
            arg("language", "language", Kind::Text, "de or en"),
            arg("time_zone", "time-zone", Kind::Text, "Like Europe/Berlin"),
            arg("password", "password", Kind::Secret, "Password for his client, asked for"),
            arg("pin", "pin", Kind::Secret, "PIN for log-in at phones, asked for"),
        ],
    },
    Verb {
        name: "user.delete",
        about: "Deletes a user: frees his numbers, deletes his profiles, logs his phones out",
        arguments: &[USER, CONFIRM, FORCE],
    },
    Verb {
        name: "user.rename",
        about: "Changes the display name",
        arguments: &[USER, arg("display_name", "display-name", Kind::Place, "From now on")],
    },
    Verb {
        name: "user.password",
        about: "Sets the password for his client",
        arguments: &[USER, PASSWORD],
    },
    Verb {
        name: "user.pin",
        about: "Sets the PIN for log-in at phones",
        arguments: &[USER, arg("pin", "pin", Kind::Secret, "The PIN, asked for")],
    },
    Verb { name: "user.dnd", about: "Do not disturb", arguments: &[USER, ON] },
    Verb {
        name: "user.caller_id",
        about: "The number shown to other subscribers instead of the one in use",
        arguments: &[USER, arg("number", "number", Kind::Text, "Without: the number in use")],
    },
    Verb {
        name: "user.language",
        about: "His preferred language",
        arguments: &[
            USER,
            arg("language", "language", Kind::Text, "de or en; without: the group's"),
        ],
    },
    Verb {
        name: "user.time_zone",
        about: "His own time zone",
        arguments: &[
            USER,
            arg("time_zone", "time-zone", Kind::Text, "Like Europe/Berlin; without: the group's"),
        ],
    },
    Verb {
        name: "user.contact",
        about: "Mail address and mobile number",
        arguments: &[
            USER,
            arg("email", "email", Kind::Text, "Where voicemail and faxes go"),
            arg("mobile", "mobile", Kind::Text, "His mobile number"),
        ],
    },
    Verb {
        name: "number.add",
        about: "Gives a user a number",
        arguments: &[
            USER,
            NUMBER,
            arg("slots", "slot", Kind::List, "Tick it for this slot (like ada/desk)"),
        ],
    },
    Verb {
        name: "number.remove",
        about: "Takes a number from its user; it is free again",
        arguments: &[NUMBER, CONFIRM, FORCE],
    },
    Verb {
        name: "number.tick",
        about: "Lets a number ring and call out on a slot",
        arguments: &[NUMBER, SLOT],
    },
    Verb {
        name: "number.untick",
        about: "Takes a number off a slot",
        arguments: &[NUMBER, SLOT, FORCE],
    },
    Verb {
        name: "number.swap",
        about: "Swaps which number is on a slot, in one step: the log-in stays",
        arguments: &[
            SLOT,
            arg("off", "off", Kind::Place, "The number that goes"),
            arg("on", "on", Kind::Place, "The number that comes"),
        ],
    },
    Verb {
        name: "number.call_waiting",
        about: "Call waiting (Anklopfen)",
        arguments: &[NUMBER, ON],
    },
    Verb {
        name: "number.busy_if_any",
        about: "Busy-if-any (Sammelbesetzt)",
        arguments: &[
            NUMBER,
            arg("scope", "scope", Kind::Place, "off, calls, or calls-and-team-calls"),
        ],
    },
    Verb {
        name: "slot.add",
        about: "Adds a slot for a user's device",
        arguments: &[
            USER,
            arg("type", "type", Kind::Place, "desk, dect, softphone, mobile or analog"),
            arg("name", "name", Kind::Text, "What people call it; without: its type"),
        ],
    },
    Verb {
        name: "slot.remove",
        about: "Removes a slot; a device on it is logged out",
        arguments: &[SLOT, FORCE],
    },
    Verb {
        name: "slot.select",
        about: "The number for outgoing calls from a slot",
        arguments: &[SLOT, NUMBER],
    },
    Verb {
        name: "device.add",
        about: "Adds a phone",
        arguments: &[
            arg("name", "name", Kind::Place, "What it registers as"),
            arg("type", "type", Kind::Place, "desk, dect, softphone, mobile or analog"),
            PASSWORD,
            arg("mac", "mac", Kind::Text, "Hardware address"),
            arg(
                "service_number",
                "service-number",
                Kind::Text,
                "Its number while nobody is logged in",
            ),
            arg("groups", "group", Kind::List, "A host group it is put into"),
        ],
    },
    Verb { name: "device.remove", about: "Removes a phone", arguments: &[DEVICE, FORCE] },
    Verb {
        name: "device.password",
        about: "Sets the password the phone registers with",
        arguments: &[DEVICE, PASSWORD],
    },
    Verb {
        name: "device.log_in",
        about: "Logs a user in at a phone",
        arguments: &[
            DEVICE,
            arg("user", "user", Kind::Text, "Who; without: with --as, that user"),
            arg("slot", "slot", Kind::Text, "On which slot; without: a free one that fits"),
            FORCE,
        ],
    },
    Verb {
        name: "device.log_out",
        about: "Logs out whoever is logged in at a phone",
        arguments: &[DEVICE, FORCE],
    },
    Verb {
        name: "device.ring",
        about: "When and how long a user's device rings",
        arguments: &[
            USER,
            DEVICE,
            arg("origin", "origin", Kind::Text, "internal, external or team; without: all"),
            arg("enabled", "enabled", Kind::OnOff, "Rings at all"),
            arg("wait", "wait", Kind::Whole, "Seconds before it rings"),
            arg("ring", "ring", Kind::Whole, "Seconds it rings"),
        ],
    },
    Verb {
        name: "group.add",
        about: "Adds a group",
        arguments: &[
            arg("name", "name", Kind::Place, "Internal name, never changed"),
            arg("kind", "kind", Kind::Place, "user, host, fax, queue or module_gui"),
            arg("title", "title", Kind::Text, "For people"),
            arg("time_zone", "time-zone", Kind::Text, "Of its members, like Europe/Berlin"),
        ],
    },
    Verb { name: "group.remove", about: "Removes a group", arguments: &[GROUP] },
    Verb {
        name: "group.add_member",
        about: "Puts a user or a phone into a group",
        arguments: &[GROUP, MEMBER_USER, MEMBER_DEVICE],
    },
    Verb {
        name: "group.remove_member",
        about: "Takes a user or a phone out of a group",
        arguments: &[GROUP, MEMBER_USER, MEMBER_DEVICE],
    },
    Verb {
        name: "group.time_zone",
        about: "The time zone of a group's members",
        arguments: &[
            GROUP,
            arg("time_zone", "time-zone", Kind::Text, "Like Europe/Berlin; without: the system's"),
        ],
    },
    Verb {
        name: "group.retitle",
        about: "Changes a group's title",
        arguments: &[GROUP, arg("title", "title", Kind::Place, "From now on")],
    },
    Verb {
        name: "permission.grant",
        about: "Grants a user group a right",
        arguments: &[SUBJECT, RIGHT, ON_GROUP],
    },
    Verb {
        name: "permission.withdraw",
        about: "Withdraws a right; who is logged in stays logged in",
        arguments: &[SUBJECT, RIGHT, ON_GROUP],
    },
    Verb {
        name: "profile.add",
        about: "Adds a forwarding profile; it is set nowhere yet",
        arguments: &[USER, arg("name", "name", Kind::Place, "What he calls it"), RULES],
    },
    Verb {
        name: "profile.rules",
        about: "Replaces the rules of a profile",
        arguments: &[PROFILE, RULES],
    },
    Verb {
        name: "profile.rename",
        about: "Renames a profile",
        arguments: &[PROFILE, arg("name", "name", Kind::Place, "From now on")],
    },
    Verb { name: "profile.delete", about: "Deletes a profile", arguments: &[PROFILE, CONFIRM] },
    Verb {
        name: "forwarding.set",
        about: "Sets a profile for a number by hand",
        arguments: &[NUMBER, PROFILE, UNTIL],
    },
    Verb {
        name: "forwarding.clear",
        about: "Chooses no profile for a number by hand",
        arguments: &[NUMBER, UNTIL],
    },
    Verb {
        name: "schedule.add",
        about: "Lets a number use a profile at certain times",
        arguments: &[
            NUMBER,
            PROFILE,
            arg(
                "pattern",
                "when",
                Kind::Shaped(pattern),
                "Like `mon-fri 12:00-13:00`, or `2026-12-24 12:00 - 2026-12-27 08:00`",
            ),
            arg("priority", "priority", Kind::Whole, "Against overlapping ones; the higher counts"),
        ],
    },
    Verb {
        name: "schedule.remove",
        about: "Removes a schedule entry",
        arguments: &[arg(
            "schedule",
            "schedule",
            Kind::Place,
            "Its id, as `schedule list` shows it",
        )],
    },
    Verb {
        name: "trunk.add",
        about: "Adds a static trunk",
        arguments: &[
            arg("name", "name", Kind::Place, "What people call it"),
            arg("peer", "peer", Kind::Place, "The peer's address, like 192.0.2.1:5060"),
            arg(
                "outbound_prefix",
                "prefix",
                Kind::Text,
                "Dialled before an outside number, like 0",
            ),
            arg("base_number", "base-number", Kind::Text, "Put before the caller's number outside"),
        ],
    },
    Verb { name: "trunk.remove", about: "Removes a trunk", arguments: &[TRUNK] },
    Verb {
        name: "trunk.assign",
        about: "Lets called digits of a trunk reach a number",
        arguments: &[TRUNK, DIALLED, NUMBER],
    },
    Verb {
        name: "trunk.free",
        about: "Called digits of a trunk reach nobody any more",
        arguments: &[TRUNK, DIALLED],
    },
    Verb {
        name: "call.hang_up",
        about: "Ends a call in progress; the book says who did it",
        arguments: &[arg(
            "call",
            "call",
            Kind::Place,
            "Its number in `call list --open` (like #123), or its id",
        )],
    },
    Verb {
        name: "settings.time_zone",
        about: "The system's time zone",
        arguments: &[arg("time_zone", "time-zone", Kind::Place, "Like Europe/Berlin")],
    },
    Verb {
        name: "settings.digest",
        about: "Which digest algorithms phones may use",
        arguments: &[arg("policy", "policy", Kind::Place, "md5-then-sha256 or sha256-only")],
    },
    Verb {
        name: "settings.block_target",
        about: "Forbids forwarding to numbers that begin so",
        arguments: &[PREFIX],
    },
    Verb {
        name: "settings.unblock_target",
        about: "Allows forwarding to numbers that begin so again",
        arguments: &[PREFIX],
    },
    Verb {
        name: "settings.retention",
        about: "For how many months numbers of outside parties stay readable",
        arguments: &[arg(
            "months",
            "months",
            Kind::Whole,
            "Whole months besides the running one; without: for ever",
        )],
    },
    Verb {
        name: "person.erase",
        about: "Erases a person for ever: deletes the user if he is one, and destroys his key",
        arguments: &[
            arg("user", "user", Kind::Place, "Log-in name, also of a deleted user, or id"),
            CONFIRM,
            FORCE,
        ],
    },
    Verb {
        name: "period.erase",
        about: "Makes numbers of outside parties from a past month unreadable for ever",
        arguments: &[arg("period", "month", Kind::Place, "Like 2026-05")],
    },
];

const USER: Argument = arg("user", "user", Kind::Place, "Log-in name");
const NUMBER: Argument = arg("number", "number", Kind::Place, "Digits");
const SLOT: Argument = arg("slot", "slot", Kind::Place, "Like ada/desk");
const DEVICE: Argument = arg("device", "device", Kind::Place, "What it registers as");
const GROUP: Argument = arg("group", "group", Kind::Place, "Internal name");
const PROFILE: Argument = arg("profile", "profile", Kind::Place, "Like ada/Urlaub");
const TRUNK: Argument = arg("trunk", "trunk", Kind::Place, "Its name");
const DIALLED: Argument = arg("dialled", "dialled", Kind::Place, "As the network sends it");
const PREFIX: Argument = arg("prefix", "prefix", Kind::Place, "Digits");
const ON: Argument = arg("on", "on", Kind::OnOffPlace, "on or off");
const PASSWORD: Argument = arg("password", "password", Kind::Secret, "The password, asked for");
const CONFIRM: Argument =
    arg("confirm", "confirm", Kind::Flag, "What else is affected is known and meant");
const FORCE: Argument = arg("force", "force", Kind::Flag, "Even during a call");
const SUBJECT: Argument = arg("group", "group", Kind::Place, "The user group that holds it");
const RIGHT: Argument = arg(
    "permission",
    "permission",
    Kind::Place,
    "roaming, admin, audit, audit.personal, outbound or fax",
);
const ON_GROUP: Argument = arg("on", "on", Kind::Text, "The target group, for roaming and fax");
const MEMBER_USER: Argument = arg("user", "user", Kind::Text, "A user");
const MEMBER_DEVICE: Argument = arg("device", "device", Kind::Text, "A phone");
const UNTIL: Argument = arg(
    "until",
    "until",
    Kind::Text,
    "Inside a schedule's window: window-end (default), further-notice, or under-schedules",
);
const RULES: Argument = arg(
    "rules",
    "rule",
    Kind::Each(rule),
    "CONDITION[@ORIGIN]=TARGET: always, busy, logged-off or no-answer:SECONDS; internal or external; \
     a number or voicemail",
);

/// `desk` or `desk=name`.
fn slot(text: &str) -> Result<Value, String> {
    let (kind, name) = text.split_once('=').map_or((text, None), |(k, n)| (k, Some(n)));
    let mut slot = Map::new();
    slot.insert("type".into(), kind.into());
    if let Some(name) = name {
        slot.insert("name".into(), name.into());
    }
    Ok(slot.into())
}

/// `p1=desk`.
fn device(text: &str) -> Result<Value, String> {
    let (name, kind) = text.split_once('=').ok_or("write it like p1=desk")?;
    let mut device = Map::new();
    device.insert("name".into(), name.into());
    device.insert("type".into(), kind.into());
    Ok(device.into())
}

/// `mon-fri 12:00-13:00` is weekly, `2026-12-24 12:00 - 2026-12-27 08:00` is dated.
fn pattern(text: &str) -> Result<Value, String> {
    let dated = text.trim_start().starts_with(|c: char| c.is_ascii_digit());
    let mut pattern = Map::new();
    pattern.insert(if dated { "dated" } else { "weekly" }.into(), text.trim().into());
    Ok(pattern.into())
}

/// `busy@external=416`, `no-answer:25=voicemail`.
fn rule(text: &str) -> Result<Value, String> {
    let (when, target) =
        text.split_once('=').ok_or("write it like busy=416 or no-answer:25@external=voicemail")?;
    let (when, origin) = when.split_once('@').map_or((when, None), |(w, o)| (w, Some(o)));
    let (condition, after) = when.split_once(':').map_or((when, None), |(c, a)| (c, Some(a)));
    let mut rule = Map::new();
    rule.insert("when".into(), condition.into());
    if let Some(after) = after {
        let seconds: u32 = after.parse().map_err(|_| format!("`{after}` are no seconds"))?;
        rule.insert("after".into(), seconds.into());
    }
    if let Some(origin) = origin {
        rule.insert("from".into(), origin.into());
    }
    rule.insert("to".into(), target.into());
    Ok(rule.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchbook_commands::Command;

    /// Codes that only a phone can dial have no place on the command line.
    #[test]
    fn every_command_has_its_place_on_the_command_line() {
        for name in Command::NAMES.iter().filter(|name| !name.starts_with("phone.")) {
            assert!(COMMANDS.iter().any(|verb| verb.name == *name), "{name} has no verb");
        }
        for verb in COMMANDS {
            assert!(Command::NAMES.contains(&verb.name), "{} is no command", verb.name);
        }
    }

    /// Every verb with all its arguments gives JSON that the exchange can read.
    #[test]
    fn every_verb_gives_a_command_the_exchange_can_read() {
        for verb in COMMANDS {
            let mut words = vec![verb.verb()];
            for argument in verb.arguments {
                let value = sample(verb.name, argument.field);
                match argument.kind {
                    Kind::Place | Kind::OnOffPlace | Kind::Shaped(_) => words.push(value.into()),
                    Kind::Flag => words.push(format!("--{}", argument.word)),
                    _ => words.push(format!("--{}={value}", argument.word)),
                }
            }
            let matches = verb.clap().get_matches_from(words);
            let mut fields = verb.fields(&matches, &mut |_| Ok("47114711".into())).unwrap();
            fields.insert("command".into(), verb.name.into());
            let read = serde_json::from_value::<Command>(fields.into());
            assert!(read.is_ok(), "{}: {}", verb.name, read.unwrap_err());
        }
    }

    fn sample(verb: &str, field: &str) -> &'static str {
        match field {
            "numbers" | "number" | "off" | "service_number" | "prefix" => "100",
            "on" if verb == "number.swap" => "200",
            "on" if verb.starts_with("permission") => "hosts",
            "on" | "enabled" => "on",
            "slots" if verb == "number.add" => "ada/desk",
            "slots" => "desk=office",
            "devices" => "p1=desk",
            "type" => "desk",
            "kind" => "user",
            "language" => "de",
            "time_zone" => "Europe/Berlin",
            "scope" => "calls",
            "origin" => "external",
            "wait" | "ring" | "priority" | "months" => "5",
            "period" => "2026-05",
            "permission" => "roaming",
            "rules" => "no-answer:25@external=voicemail",
            "until" => "window-end",
            "pattern" => "mon-fri 12:00-13:00",
            "peer" => "192.0.2.1:5060",
            "policy" => "sha256-only",
            "password" | "pin" => "-",
            _ => "ada",
        }
    }
}
