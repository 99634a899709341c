//! One JSON object a line, in both directions; a line is at most [`LONGEST_LINE`] bytes.

use crate::failure::Words;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Longer lines are refused, and the connection is closed.
pub const LONGEST_LINE: usize = 1 << 20;

/// What the command line asks.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Carry out one command (or try it: nothing is written then).
    Submit {
        /// The command's id, a UUID of version 7; the server makes one when it is missing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<uuid::Uuid>,
        /// With the rights of this user.
        #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
        as_user: Option<String>,
        /// Decide and show, write nothing.
        #[serde(default)]
        dry_run: bool,
        /// The command as in a JSONL file.
        command: Value,
        /// `de` or `en`, for refusals and warnings.
        #[serde(default)]
        language: Language,
    },
    /// Many commands, all or nothing; so many lines follow, one command each.
    Apply {
        /// How many lines follow.
        lines: usize,
        /// Decide and show, write nothing.
        #[serde(default)]
        dry_run: bool,
        /// The list's id, a UUID of version 7; the server makes one when it is missing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<uuid::Uuid>,
        /// With the rights of this user.
        #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
        as_user: Option<String>,
        /// `de` or `en`.
        #[serde(default)]
        language: Language,
    },
    /// Answer an auditor's question with personal fields open; the opening is recorded.
    Audit {
        /// What he asks.
        question: crate::audit::Question,
        /// With the rights of this user.
        #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
        as_user: Option<String>,
        /// `de` or `en`.
        #[serde(default)]
        language: Language,
    },
    /// Make a backup, while serving.
    Backup {
        /// An absolute path, as the server sees it.
        to: std::path::PathBuf,
        /// With the rights of this user.
        #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
        as_user: Option<String>,
        /// Of the answer.
        #[serde(default)]
        language: Language,
    },
    /// Seal the book up to now.
    Seal {
        /// And hand over to a new key.
        #[serde(default)]
        new_key: bool,
        /// With the rights of this user.
        #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
        as_user: Option<String>,
        /// `de` or `en`.
        #[serde(default)]
        language: Language,
    },
    /// Hold the index against the segments: nobody else can open it meanwhile.
    CompareIndex,
    /// Show a view.
    View(Sight),
}

/// A view that is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sight {
    /// Its name (`user.list`, `matrix.show`).
    pub view: String,
    /// Its arguments, by name.
    #[serde(default)]
    pub arguments: serde_json::Map<String, Value>,
    /// As of a position (`#123`) or a moment (RFC 3339); now when missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<String>,
    /// For whom: half of a long list is half the work.
    #[serde(default, rename = "for")]
    pub whom: For,
    /// `de` or `en`.
    #[serde(default)]
    pub language: Language,
}

/// Whom a view is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum For {
    /// Whoever: `data` and `tables`.
    #[default]
    Both,
    /// Programs: `data` alone.
    Programs,
    /// People: `tables` alone.
    People,
}

/// Language of texts for people.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Language {
    /// Deutsch.
    #[serde(rename = "de")]
    German,
    /// English.
    #[default]
    #[serde(rename = "en")]
    English,
}

impl Language {
    /// From the environment, as other programs choose it: `LC_ALL`, `LC_MESSAGES`, `LANG`.
    pub fn of_environment() -> Self {
        let set = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
        let locale = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(set);
        if locale.is_some_and(|locale| locale.starts_with("de")) {
            Self::German
        } else {
            Self::English
        }
    }
}

impl From<Language> for switchbook_core::user::Language {
    fn from(language: Language) -> Self {
        match language {
            Language::German => Self::German,
            Language::English => Self::English,
        }
    }
}

/// What the server answers: any number of `Progress`, then one of the others.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Response {
    /// So far.
    Progress {
        /// Decided.
        done: usize,
        /// Of so many.
        of: usize,
    },
    /// It was done; the shape depends on what was asked.
    Done(Value),
    /// The exchange refused.
    Refused {
        /// Stable code.
        code: String,
        /// A sentence for a person, in the language that was asked for.
        text: String,
        /// The same in German.
        #[serde(default)]
        text_de: String,
        /// The same in English.
        #[serde(default)]
        text_en: String,
        /// The facts behind it.
        #[serde(default)]
        facts: serde_json::Map<String, Value>,
        /// Which line of a bulk, from 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        line: Option<usize>,
    },
    /// The request could not be understood or carried out.
    Failed {
        /// For a person, in English.
        text: String,
        /// The same in German, where somebody wrote it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text_de: Option<String>,
    },
}

impl Response {
    /// It could not be carried out.
    pub fn failed(words: impl Into<Words>) -> Self {
        let Words { english, german } = words.into();
        Self::Failed { text: english, text_de: german }
    }
}
