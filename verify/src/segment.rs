//! Heads of segments, and the watermark, read from docs/journal-format.md.

use crate::frame::Bytes;
use crate::tree::Hash;

/// A segment's head.
pub struct Head {
    /// Whose.
    pub book: [u8; 16],
    /// The first position.
    pub first: u64,
    /// The first position of the segment before.
    pub previous: u64,
    /// How many of its bytes are valid.
    pub previous_bytes: u64,
    /// Peaks of the tree before.
    pub peaks: Vec<Hash>,
    /// Where the frames begin.
    pub length: usize,
}

impl Head {
    /// Reads a head; why not, in English and German.
    pub fn read(bytes: &[u8]) -> Result<Self, (&'static str, &'static str)> {
        let cut = ("its head is cut off", "sein Kopf ist abgeschnitten");
        let mut rest = Bytes(bytes);
        if rest.take(8) != Some(b"SWBKSEG\n") {
            return Err((
                "it does not begin as a segment does",
                "es beginnt nicht wie ein Segment",
            ));
        }
        let (version, count) = (rest.u16().ok_or(cut)?, usize::from(rest.u16().ok_or(cut)?));
        if version != 1 {
            return Err(("it is of a newer version", "es ist von einer neueren Version"));
        }
        let length = 64 + count * 32;
        let sum = bytes.get(length..length + 4).ok_or(cut)?;
        if count > 64 || crc32c::crc32c(&bytes[..length]).to_le_bytes() != sum {
            return Err((
                "the checksum of its head is wrong",
                "die Prüfsumme seines Kopfs ist falsch",
            ));
        }
        let mut read = || {
            rest.u32()?;
            let book = rest.take(16)?.try_into().ok()?;
            let (first, previous, previous_bytes) = (rest.u64()?, rest.u64()?, rest.u64()?);
            rest.u64()?;
            let peaks = (0..count).map(|_| rest.hash()).collect::<Option<Vec<_>>>()?;
            Some(Self { book, first, previous, previous_bytes, peaks, length: length + 4 })
        };
        read().ok_or(cut)
    }
}

/// The last durable position that the watermark file tells; `None` without a slot that checks.
pub fn watermark(bytes: &[u8]) -> Option<u64> {
    let slot = |at: usize| {
        let slot = bytes.get(at..at + 64)?;
        let right = crc32c::crc32c(&slot[..60]).to_le_bytes() == slot[60..];
        let mut rest = Bytes(slot);
        let ours = rest.take(8) == Some(b"SWBKMRK\n") && right;
        let turn = rest.u64()?;
        rest.take(16)?;
        ours.then_some((turn, rest.u64()?))
    };
    [slot(0), slot(4096)].into_iter().flatten().max().map(|(_, position)| position)
}
