//! The list of erasures: a text of its own, kept where no backup of the book's folder holds an older one (docs/evidence.md).
//! The server that writes it and whoever restores a backup read it here, so that neither takes what the other refuses.
//!
//! One line each: the head `# switchbook erasures 2 BOOK` first, then `person ID #POSITION MOMENT` or `month 2026-05
//! #POSITION MOMENT`, each ended by a space and a sum in eight hexadecimal digits: the CRC32C of the texts of all lines up to
//! it. So a line that was changed, taken out or put elsewhere is found; that lines at the end are gone is not.
//! In format 1 each sum was of its own line alone.

use super::BackupError;
use std::collections::BTreeSet;
use switchbook_core::erasure::Period;
use switchbook_core::id::{BookId, UserId};
use switchbook_core::personal::KeyId;
use switchbook_core::position::{Moment, Position};

/// What begins the head, before the format.
const HEAD: &str = "# switchbook erasures ";
const FORMATS: [u32; 2] = [1, NEWEST];
const NEWEST: u32 = 2;

/// What a list of erasures holds, and how it goes on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ErasureList {
    keys: BTreeSet<KeyId>,
    format: u32,
    /// The sum of the last line, which the next one's goes on from.
    sum: u32,
    whole: usize,
    torn: bool,
}

impl ErasureList {
    /// A new list of a book, and its text.
    #[must_use]
    pub fn begin(book: BookId) -> (Self, String) {
        let head = head(NEWEST, book);
        let (sum, text) = (sum_of(&head), ended(&head, sum_of(&head)));
        let keys = BTreeSet::new();
        (Self { keys, format: NEWEST, sum, whole: text.len(), torn: false }, text)
    }

    /// Reads a list; `None` when it was never begun: there is nothing, a part of its head, or blocks that were never
    /// written. An end that is no whole line is left out: it was being written when the power went.
    ///
    /// # Errors
    /// The first line that does not check, or another book's list: one that is read by half would leave somebody readable.
    pub fn read(text: &str, book: BookId) -> Result<Option<Self>, BackupError> {
        let heads = FORMATS.map(|format| (format, head(format, book)));
        let begins =
            |(_, head): &(u32, String)| ended(head, sum_of(head)).trim_end().starts_with(text);
        if heads.iter().any(begins) || text.bytes().all(|byte| byte == 0) {
            return Ok(None);
        }
        let mut list: Option<Self> = None;
        for (number, line) in text.split_inclusive('\n').enumerate() {
            let wrong = || BackupError::Erasures { line: number + 1, text: line.trim_end().into() };
            let Some(list) = &mut list else {
                list = Some(Self::headed(line, &heads, book, wrong)?);
                continue;
            };
            let Some(whole) = line.strip_suffix('\n') else {
                list.torn = true;
                break;
            };
            let (text, sum) = whole.rsplit_once(' ').ok_or_else(wrong)?;
            let expected = list.sum_over(text);
            if sum != written(expected) {
                return Err(wrong());
            }
            list.keys.insert(key_of(text).ok_or_else(wrong)?);
            list.sum = expected;
            list.whole += line.len();
        }
        Ok(list)
    }

    fn headed(
        line: &str,
        heads: &[(u32, String); 2],
        book: BookId,
        wrong: impl Fn() -> BackupError,
    ) -> Result<Self, BackupError> {
        let (text, sum) =
            line.strip_suffix('\n').and_then(|line| line.rsplit_once(' ')).ok_or_else(&wrong)?;
        if sum != written(sum_of(text)) {
            return Err(wrong());
        }
        if let Some((format, _)) = heads.iter().find(|(_, head)| head == text) {
            let (keys, sum) = (BTreeSet::new(), sum_of(text));
            return Ok(Self { keys, format: *format, sum, whole: line.len(), torn: false });
        }
        let (format, found) =
            text.strip_prefix(HEAD).and_then(|text| text.split_once(' ')).ok_or_else(&wrong)?;
        match format.parse::<u32>() {
            Ok(found) if found > NEWEST => Err(BackupError::NewerErasures { found, known: NEWEST }),
            Ok(format) if FORMATS.contains(&format) => Err(BackupError::ErasuresOfAnother {
                found: found.into(),
                expected: book.to_string(),
            }),
            _ => Err(wrong()),
        }
    }

    /// The keys that are to be gone.
    pub fn keys(&self) -> impl Iterator<Item = KeyId> + '_ {
        self.keys.iter().copied()
    }

    /// Is it in it?
    #[must_use]
    pub fn knows(&self, key: KeyId) -> bool {
        self.keys.contains(&key)
    }

    /// So many bytes of the text are whole lines.
    #[must_use]
    pub const fn whole(&self) -> usize {
        self.whole
    }

    /// Behind them there is a line that was never finished.
    #[must_use]
    pub const fn is_torn(&self) -> bool {
        self.torn
    }

    /// The line that adds an erasure; it belongs to the list when it was [taken](Self::take).
    #[must_use]
    pub fn line(&self, key: KeyId, at: Position, now: Moment) -> String {
        let what = match key {
            KeyId::Person(user) => format!("person {user}"),
            KeyId::Period(period) => format!("month {}", Period(period)),
        };
        let text = format!("{what} {at} {now}");
        ended(&text, self.sum_over(&text))
    }

    /// The line for this key is durable.
    pub fn take(&mut self, key: KeyId, line: &str) {
        self.keys.insert(key);
        self.go_on(line);
    }

    /// The same list in the newest format, and its text, when `text`, which it was read from, is in an older one.
    #[must_use]
    pub fn renewed(&self, text: &str, book: BookId) -> Option<(Self, String)> {
        if self.format == NEWEST {
            return None;
        }
        let (mut list, mut fresh) = Self::begin(book);
        for line in text.get(..self.whole)?.lines().skip(1) {
            let text = without_sum(line);
            let line = ended(text, list.sum_over(text));
            list.go_on(&line);
            fresh.push_str(&line);
        }
        list.keys.clone_from(&self.keys);
        Some((list, fresh))
    }

    fn go_on(&mut self, line: &str) {
        self.sum = self.sum_over(without_sum(line));
        self.whole += line.len();
    }

    fn sum_over(&self, text: &str) -> u32 {
        match self.format {
            1 => sum_of(text),
            _ => crc32c::crc32c_append(self.sum, text.as_bytes()),
        }
    }
}

fn head(format: u32, book: BookId) -> String {
    format!("{HEAD}{format} {book}")
}

fn sum_of(text: &str) -> u32 {
    crc32c::crc32c(text.as_bytes())
}

fn written(sum: u32) -> String {
    format!("{sum:08x}")
}

fn ended(text: &str, sum: u32) -> String {
    format!("{text} {}\n", written(sum))
}

fn without_sum(line: &str) -> &str {
    line.rsplit_once(' ').map_or(line, |(text, _)| text)
}

fn key_of(text: &str) -> Option<KeyId> {
    let mut words = text.split(' ');
    match (words.next()?, words.next()?) {
        ("person", id) => Some(KeyId::Person(id.parse::<UserId>().ok()?)),
        ("month", month) => Some(month.parse::<Period>().ok()?.key()),
        _ => None,
    }
}

/// Reads the list of erasures of a book, as whoever restores a backup does: nothing of it may be missing.
///
/// # Errors
/// As [`ErasureList::read`]; a list that was never begun, or whose last line was never finished.
pub fn read_erasures(text: &str, book: BookId) -> Result<Vec<KeyId>, BackupError> {
    let line = |nth: usize| BackupError::Erasures {
        line: nth + 1,
        text: text.lines().nth(nth).unwrap_or_default().into(),
    };
    match ErasureList::read(text, book)? {
        None => Err(line(0)),
        Some(list) if list.torn => Err(line(text[..list.whole].lines().count())),
        Some(list) => Ok(list.keys().collect()),
    }
}
