//! From `switchbook user add ada "Ada Lovelace" --number 100` to the JSON form of a command: one table of nouns, verbs
//! and arguments drives parsing, help and the manual.

use crate::failure::Failure;
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Map, Value};

/// How an argument is written and what becomes of it.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// In its place, needed: text.
    Place,
    /// In its place, needed: `on` or `off`, to `true` or `false`.
    OnOffPlace,
    /// `--name text`.
    Text,
    /// `--name 7`.
    Whole,
    /// `--name on|off`.
    OnOff,
    /// `--name`, which becomes `true`.
    Flag,
    /// `--name a --name b` or `--name a,b`.
    List,
    /// `--name -` (from standard input), or asked for on a terminal. Never on the command line itself, which every
    /// user of the machine can read.
    Secret,
    /// Repeated; each is read by the function.
    Each(fn(&str) -> Result<Value, String>),
    /// One text that becomes a value by the function, needed.
    Shaped(fn(&str) -> Result<Value, String>),
}

/// One argument of a verb.
#[derive(Clone, Copy, Debug)]
pub struct Argument {
    /// The field in the command's JSON form.
    pub field: &'static str,
    /// The word on the command line.
    pub word: &'static str,
    /// How it is written.
    pub kind: Kind,
    /// For people.
    pub help: &'static str,
}

/// A verb of a noun.
#[derive(Clone, Copy, Debug)]
pub struct Verb {
    /// The command's or view's stable name (`user.add`).
    pub name: &'static str,
    /// For people.
    pub about: &'static str,
    /// In the order of the manual.
    pub arguments: &'static [Argument],
}

/// An argument whose word is its field, with dashes.
pub const fn arg(
    field: &'static str,
    word: &'static str,
    kind: Kind,
    help: &'static str,
) -> Argument {
    Argument { field, word, kind, help }
}

impl Verb {
    /// `user`, of `user.add`.
    pub fn noun(&self) -> &'static str {
        self.name.split('.').next().unwrap_or(self.name)
    }

    /// `add`, of `user.add`; `call-waiting`, of `number.call_waiting`.
    pub fn verb(&self) -> String {
        self.name.split('.').nth(1).unwrap_or_default().replace('_', "-")
    }

    /// The clap form.
    pub fn clap(&self) -> Command {
        let mut command = Command::new(self.verb()).about(self.about);
        for argument in self.arguments {
            command = command.arg(argument.clap());
        }
        command
    }

    /// The JSON fields that were given.
    pub fn fields(
        &self,
        matches: &ArgMatches,
        ask: &mut dyn FnMut(&str) -> Result<String, Failure>,
    ) -> Result<Map<String, Value>, Failure> {
        let mut fields = Map::new();
        for argument in self.arguments {
            if let Some(value) = argument.value(matches, ask)? {
                fields.insert(argument.field.into(), value);
            }
        }
        Ok(fields)
    }
}

impl Argument {
    fn clap(&self) -> Arg {
        let arg = Arg::new(self.field).help(self.help);
        let named = |arg: Arg| arg.long(self.word).value_name(self.word.to_uppercase());
        match self.kind {
            Kind::Place | Kind::Shaped(_) => {
                arg.required(true).value_name(self.word.to_uppercase())
            }
            Kind::OnOffPlace => arg.required(true).value_parser(["on", "off"]),
            Kind::Text | Kind::Whole => named(arg),
            Kind::OnOff => named(arg).value_parser(["on", "off"]),
            Kind::Flag => arg.long(self.word).action(ArgAction::SetTrue),
            Kind::List => named(arg).action(ArgAction::Append).value_delimiter(','),
            Kind::Each(_) => named(arg).action(ArgAction::Append),
            Kind::Secret => named(arg)
                .value_name("-")
                .value_parser(["-"])
                .num_args(0..=1)
                .default_missing_value("-")
                .hide_possible_values(true),
        }
    }

    fn value(
        &self,
        matches: &ArgMatches,
        ask: &mut dyn FnMut(&str) -> Result<String, Failure>,
    ) -> Result<Option<Value>, Failure> {
        let one = || matches.get_one::<String>(self.field);
        let wrong = |why: String| Failure::new(format!("{}: {why}", self.word));
        Ok(match self.kind {
            Kind::Place | Kind::Text => one().cloned().map(Value::from),
            Kind::Shaped(shape) => one().map(|text| shape(text)).transpose().map_err(wrong)?,
            Kind::OnOffPlace | Kind::OnOff => one().map(|text| Value::from(text == "on")),
            Kind::Whole => match one().map(|text| text.parse::<u32>()) {
                None => None,
                Some(Ok(number)) => Some(Value::from(number)),
                Some(Err(_)) => return Err(wrong("a whole number is needed".into())),
            },
            Kind::Flag => matches.get_flag(self.field).then(|| Value::from(true)),
            Kind::List => matches
                .get_many::<String>(self.field)
                .map(|all| all.cloned().map(Value::from).collect()),
            Kind::Each(shape) => match matches.get_many::<String>(self.field) {
                None => None,
                Some(all) => Some(
                    all.map(|text| shape(text))
                        .collect::<Result<Value, String>>()
                        .map_err(wrong)?,
                ),
            },
            Kind::Secret => match one() {
                None => None,
                Some(_) => Some(Value::from(ask(self.word)?)),
            },
        })
    }
}

/// The nouns of a table as clap commands, verbs below them.
pub fn nouns(tables: &[&'static [Verb]], about: impl Fn(&str) -> &'static str) -> Vec<Command> {
    let mut nouns: Vec<Command> = Vec::new();
    for verb in tables.iter().flat_map(|table| table.iter()) {
        let noun = verb.noun();
        let place = match nouns.iter().position(|command| command.get_name() == noun) {
            Some(place) => place,
            None => {
                let command = Command::new(noun).about(about(noun));
                nouns.push(command.subcommand_required(true).arg_required_else_help(true));
                nouns.len() - 1
            }
        };
        let command = std::mem::take(&mut nouns[place]);
        nouns[place] = command.subcommand(verb.clap());
    }
    nouns
}
