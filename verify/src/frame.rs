//! Frames and bodies of records, read from docs/journal-format.md.

use crate::tree::{self, Hash};

/// Little-endian numbers from bytes.
pub struct Bytes<'a>(pub &'a [u8]);

impl<'a> Bytes<'a> {
    /// The next so many.
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// One byte.
    pub fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Two.
    pub fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    /// Four.
    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// Eight.
    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A hash.
    pub fn hash(&mut self) -> Option<Hash> {
        self.array()
    }

    /// A variable integer as payloads have it.
    pub fn variable(&mut self) -> Option<u64> {
        match self.u8()? {
            251 => self.u16().map(u64::from),
            252 => self.u32().map(u64::from),
            253 => self.u64(),
            254.. => None,
            small => Some(u64::from(small)),
        }
    }
}

/// What stands at a place of a segment.
pub enum Found<'a> {
    /// A frame that checks: its length and its body.
    Frame(usize, &'a [u8], Hash),
    /// No record.
    End,
    /// Something else: why in English and German.
    Bad(&'static str, &'static str),
}

/// The longest body.
const LONGEST: usize = 1 << 20;

/// Reads the frame at the beginning of some bytes.
pub fn read(bytes: &[u8]) -> Found<'_> {
    let cut = Found::Bad("the record is cut off", "der Eintrag ist abgeschnitten");
    let mut head = Bytes(bytes);
    let Some(length) = head.u32() else {
        return if bytes.iter().all(|byte| *byte == 0) { Found::End } else { cut };
    };
    let length = length as usize;
    if length == 0 {
        return Found::End;
    }
    if length > LONGEST {
        return Found::Bad("its length is impossible", "seine Länge ist unmöglich");
    }
    let (Some(sum), Some(leaf), Some(body)) = (head.u32(), head.hash(), head.take(length)) else {
        return cut;
    };
    let found =
        crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(&bytes[..4]), &leaf), body);
    if found != sum {
        return Found::Bad("its checksum is wrong", "seine Prüfsumme ist falsch");
    }
    if tree::leaf(body) != leaf {
        return Found::Bad("its leaf hash is wrong", "sein Blatt-Hashwert ist falsch");
    }
    Found::Frame(40 + length, body, leaf)
}

/// Which record a frame here would be of, if one stands here.
pub fn position(bytes: &[u8]) -> Option<u64> {
    let mut head = Bytes(bytes);
    let length = head.u32()? as usize;
    head.take(36)?;
    let position = head.u64()?;
    (1..=LONGEST).contains(&length).then_some(position)
}

/// The fixed part of a body, and where the payload begins.
pub struct Body<'a> {
    /// From 1.
    pub position: u64,
    /// Microseconds since 1970.
    pub recorded_at: i64,
    /// The last position known as durable when it was written.
    pub durable: u64,
    /// Which event.
    pub tag: u16,
    /// Of its struct.
    pub version: u8,
    /// Of its payload.
    pub codec: u8,
    /// The last of its commit.
    pub last: bool,
    actor: u8,
    /// The command it came from.
    pub command: [u8; 16],
    /// The event itself.
    pub payload: &'a [u8],
    /// Kind and identity of everything it concerns.
    pub subjects: Vec<(u8, &'a [u8])>,
}

impl<'a> Body<'a> {
    /// Reads a body; `None` when it is none, or one that this version does not know.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = Bytes(bytes);
        let position = rest.u64()?;
        let recorded_at = rest.u64()? as i64;
        rest.u64()?;
        let durable = rest.u64()?;
        let (tag, version, codec, flags) = (rest.u16()?, rest.u8()?, rest.u8()?, rest.u8()?);
        let (actor, count) = (rest.u8()?, rest.u16()?);
        let command = rest.array()?;
        rest.take(match actor {
            0 => 0,
            1 => 4,
            2..=6 => 16,
            _ => return None,
        })?;
        if flags & 0xe0 != 0 {
            return None;
        }
        for (flag, length) in [(2, 16), (4, 8), (8, 16)] {
            if flags & flag != 0 {
                rest.take(length)?;
            }
        }
        if flags & 16 != 0 {
            // Where the command came from: a key id as in the vault, and sealed bytes.
            let key = match rest.u8()? {
                1 => 16,
                2 => 4,
                _ => return None,
            };
            rest.take(key)?;
            let length = rest.u8()?;
            rest.take(usize::from(length))?;
        }
        let mut subjects = Vec::new();
        for _ in 0..count {
            let (kind, length) = (rest.u8()?, rest.u8()?);
            subjects.push((kind, rest.take(usize::from(length))?));
        }
        let (last, payload) = (flags & 1 != 0, rest.0);
        Some(Self {
            position,
            recorded_at,
            durable,
            tag,
            version,
            codec,
            last,
            actor,
            command,
            payload,
            subjects,
        })
    }

    /// For people: what can be told without the exchange's vocabulary.
    pub fn told(&self) -> String {
        let actor = ["system", "supervisor", "admin", "user", "phone", "schedule", "auditor"];
        let actor = actor.get(usize::from(self.actor)).copied().unwrap_or("?");
        let (tag, seconds) = (self.tag, self.recorded_at.div_euclid(1_000_000));
        format!("tag 0x{tag:04x}, {actor}, {seconds} s")
    }
}
