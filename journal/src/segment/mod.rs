//! Segments: the files that are the book. Each begins with a head that says where the one before validly ended.

pub(crate) mod cursor;
pub(crate) mod head;
pub(crate) mod list;
pub(crate) mod reader;
pub(crate) mod scout;
pub(crate) mod tree;
pub(crate) mod watermark;

use std::path::{Path, PathBuf};
use switchbook_core::position::Position;

/// The folder of the segments inside the book's folder.
pub(crate) fn folder(book: &Path) -> PathBuf {
    book.join("segments")
}

/// A segment's file name: its first position in twenty digits.
pub(crate) fn file_name(first: Position) -> String {
    format!("{:020}.seg", first.0)
}

/// The first position that a file name tells; `None` for other files.
pub(crate) fn first_of(name: &str) -> Option<Position> {
    let digits = name.strip_suffix(".seg")?;
    if digits.len() != 20 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().map(Position)
}
