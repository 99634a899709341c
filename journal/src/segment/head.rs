//! The head of a segment (docs/journal-format.md): whose it is, where it begins, where the one before validly ended,
//! and the Merkle tree of everything before.

use crate::bytes::Reader;
use crate::error::OpenError;
use crate::merkle::Frontier;
use switchbook_core::id::BookId;
use switchbook_core::position::Position;

/// What every segment begins with.
pub(crate) const MAGIC: [u8; 8] = *b"SWBKSEG\n";
/// The newest format version this Switchbook writes and reads.
pub(crate) const VERSION: u16 = 1;
/// The longest head: 64 peaks.
pub(crate) const MAX_HEAD: usize = FIXED + 64 * 32 + 4;

const FIXED: usize = 64;

/// A segment's head.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Head {
    pub(crate) book: BookId,
    pub(crate) first: Position,
    /// Where the segment before begins, and how many of its bytes are valid; both 0 in the first segment.
    pub(crate) previous: Position,
    pub(crate) previous_bytes: u64,
    /// The tree over all records before `first`.
    pub(crate) before: Frontier,
}

impl Head {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let peaks = self.before.peaks();
        let mut out = Vec::with_capacity(FIXED + peaks.len() * 32 + 4);
        out.extend(MAGIC);
        out.extend(VERSION.to_le_bytes());
        out.extend((peaks.len() as u16).to_le_bytes());
        out.extend([0; 4]);
        out.extend(self.book.bytes());
        out.extend(self.first.0.to_le_bytes());
        out.extend(self.previous.0.to_le_bytes());
        out.extend(self.previous_bytes.to_le_bytes());
        out.extend([0; 8]);
        for peak in peaks {
            out.extend(peak);
        }
        out.extend(crc32c::crc32c(&out).to_le_bytes());
        out
    }

    /// Reads a head from the beginning of a file; gives its length too.
    ///
    /// # Errors
    /// What does not check, in words; or a newer version.
    pub(crate) fn decode(file: &str, bytes: &[u8]) -> Result<(Self, usize), HeadError> {
        let mut reader = Reader(bytes);
        if reader.array::<8>() != Some(MAGIC) {
            return Err(HeadError::Bad("it does not begin as a segment does"));
        }
        let short = HeadError::Bad("its head is cut off");
        let Some(version) = reader.u16() else { return Err(short) };
        if version > VERSION {
            return Err(HeadError::Newer(OpenError::Newer {
                file: file.into(),
                found: version,
                known: VERSION,
            }));
        }
        let mut read = || {
            let count = usize::from(reader.u16()?);
            let length = FIXED + count * 32;
            let sum = u32::from_le_bytes(*bytes.get(length..)?.first_chunk::<4>()?);
            if count > 64 || sum != crc32c::crc32c(&bytes[..length]) {
                return Some(Err(HeadError::Bad("the checksum of its head is wrong")));
            }
            reader.u32()?;
            let book = BookId(reader.uuid()?);
            let (first, previous) = (Position(reader.u64()?), Position(reader.u64()?));
            let previous_bytes = reader.u64()?;
            reader.u64()?;
            let peaks = (0..count).map(|_| reader.array()).collect::<Option<Vec<_>>>()?;
            let Some(before) = Frontier::from_parts(first.0.saturating_sub(1), peaks) else {
                return Some(Err(HeadError::Bad("its tree does not fit its first position")));
            };
            Some(Ok((Self { book, first, previous, previous_bytes, before }, length + 4)))
        };
        read().unwrap_or(Err(short))
    }
}

/// Why a head could not be read.
#[derive(Debug)]
pub(crate) enum HeadError {
    Bad(&'static str),
    Newer(OpenError),
}
