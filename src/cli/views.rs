//! Every view of the exchange on the command line.

use super::verbs::{Argument, Kind, Verb, arg};

const USER: Argument = arg("user", "user", Kind::Place, "Log-in name");
const ONE_USER: Argument = arg("user", "user", Kind::Text, "Only this user's");

/// All views, in the order of the manual.
pub const VIEWS: &[Verb] = &[
    Verb { name: "user.list", about: "All users", arguments: &[] },
    Verb { name: "user.show", about: "One user with everything that is his", arguments: &[USER] },
    Verb { name: "matrix.show", about: "A user's numbers by slots", arguments: &[USER] },
    Verb {
        name: "number.list",
        about: "All numbers: owner, slots, phones, profile in force",
        arguments: &[ONE_USER],
    },
    Verb {
        name: "device.list",
        about: "All phones: who is logged in, registered or not",
        arguments: &[],
    },
    Verb { name: "group.list", about: "All groups with their members", arguments: &[] },
    Verb { name: "permission.list", about: "All permissions", arguments: &[] },
    Verb {
        name: "profile.list",
        about: "Forwarding profiles and their rules",
        arguments: &[ONE_USER],
    },
    Verb {
        name: "forwarding.list",
        about: "All forwardings of all users, active or not",
        arguments: &[],
    },
    Verb {
        name: "schedule.list",
        about: "Schedules: in force now, and their next edges",
        arguments: &[],
    },
    Verb { name: "trunk.list", about: "Trunks and the numbers they reach", arguments: &[] },
    Verb { name: "settings.show", about: "Settings of the exchange", arguments: &[] },
    Verb {
        name: "registration.list",
        about: "Which phones are registered, and where",
        arguments: &[],
    },
    Verb {
        name: "call.list",
        about: "The last calls",
        arguments: &[
            arg("number", "number", Kind::Text, "Only calls from or to this number"),
            arg("open", "open", Kind::Flag, "Only calls in progress"),
            arg("limit", "limit", Kind::Whole, "At most so many (50)"),
        ],
    },
];
