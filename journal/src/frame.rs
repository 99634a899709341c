//! The frame around a record: length, CRC32C, leaf hash, body. Every read checks both sums.

use crate::merkle::{Hash, leaf_hash};
use crate::record::Outline;
use switchbook_core::position::Position;

/// Bytes of a frame before the body: u32 length, u32 CRC32C, leaf hash.
pub const FRAME_HEAD: usize = 40;

/// The longest body.
pub const MAX_BODY: usize = 1024 * 1024;

/// Appends an empty head and says where it stands; [`close`] fills it in when the body is behind it.
pub(crate) fn begin(out: &mut Vec<u8>) -> usize {
    let at = out.len();
    out.resize(at + FRAME_HEAD, 0);
    at
}

/// Fills in the head of the frame that begins at `at` and ends where `out` ends. Gives the leaf hash.
pub(crate) fn close(out: &mut [u8], at: usize) -> Hash {
    let (head, body) = out[at..].split_at_mut(FRAME_HEAD);
    let leaf = leaf_hash(body);
    head[..4].copy_from_slice(&(body.len() as u32).to_le_bytes());
    head[8..].copy_from_slice(&leaf);
    let sum = checksum(&head[..4], &leaf, body);
    head[4..8].copy_from_slice(&sum.to_le_bytes());
    leaf
}

fn checksum(length: &[u8], leaf: &[u8], body: &[u8]) -> u32 {
    let sum = crc32c::crc32c(length);
    crc32c::crc32c_append(crc32c::crc32c_append(sum, leaf), body)
}

/// A frame that checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    /// Length, sums and body.
    pub(crate) whole: &'a [u8],
    pub(crate) leaf: Hash,
    pub(crate) body: &'a [u8],
}

/// What stands at the beginning of some bytes.
#[derive(Debug)]
pub(crate) enum Found<'a> {
    /// A frame that checks.
    Frame(Frame<'a>),
    /// A zero length word, or nothing at all: no record was written here.
    End,
    /// Too few bytes to tell; [`wants`] says how many are needed.
    More,
    /// Something that does not check.
    Bad(&'static str),
}

/// How many bytes are needed to tell what stands at the beginning of `bytes`, when these are too few.
pub(crate) fn wants(bytes: &[u8]) -> Option<usize> {
    let Some((length, _)) = bytes.split_first_chunk::<4>() else {
        return bytes.iter().any(|byte| *byte != 0).then_some(4);
    };
    let length = u32::from_le_bytes(*length) as usize;
    let whole = FRAME_HEAD + length;
    ((1..=MAX_BODY).contains(&length) && bytes.len() < whole).then_some(whole)
}

/// How long the frame at the beginning of `bytes` is by its own word, if all of it is there. It is not checked.
pub(crate) fn length(bytes: &[u8]) -> Option<usize> {
    let length = u32::from_le_bytes(*bytes.first_chunk::<4>()?) as usize;
    let whole = FRAME_HEAD + length;
    ((1..=MAX_BODY).contains(&length) && bytes.len() >= whole).then_some(whole)
}

/// Reads the frame at the beginning of `bytes`.
pub(crate) fn read(bytes: &[u8]) -> Found<'_> {
    let Some((length_word, rest)) = bytes.split_first_chunk::<4>() else {
        return if bytes.iter().all(|byte| *byte == 0) { Found::End } else { Found::More };
    };
    let length = u32::from_le_bytes(*length_word) as usize;
    if length == 0 {
        return Found::End;
    }
    if length > MAX_BODY {
        return Found::Bad("its length is impossible");
    }
    if bytes.len() < FRAME_HEAD + length {
        return Found::More;
    }
    let (Some((sum, rest)), whole) = (rest.split_first_chunk::<4>(), &bytes[..FRAME_HEAD + length])
    else {
        return Found::More;
    };
    let (Some((leaf, _)), body) = (rest.split_first_chunk::<32>(), &whole[FRAME_HEAD..]) else {
        return Found::More;
    };
    if checksum(length_word, leaf, body) != u32::from_le_bytes(*sum) {
        return Found::Bad("its checksum is wrong");
    }
    if leaf_hash(body) != *leaf {
        return Found::Bad("its leaf hash is wrong");
    }
    Found::Frame(Frame { whole, leaf: *leaf, body })
}

/// Does a sound record behind a place that does not check say that this place was durable? Then it is damage. A torn
/// end has nothing of the kind behind it: what knows a group as durable was written after that group was.
pub(crate) fn was_durable(bytes: &[u8], bad: Position) -> bool {
    let most = bad.0.saturating_add(bytes.len() as u64);
    let mut at = 1;
    while at + FRAME_HEAD + 8 < bytes.len() {
        let rest = &bytes[at..];
        at += 1;
        let Some(word) = rest.get(FRAME_HEAD..).and_then(|body| body.first_chunk::<8>()) else {
            return false;
        };
        let position = u64::from_le_bytes(*word);
        if position <= bad.0 || position > most {
            continue;
        }
        let Found::Frame(frame) = read(rest) else { continue };
        let Ok(outline) = Outline::read(frame.body) else { continue };
        if outline.durable >= bad {
            return true;
        }
        at += frame.whole.len() - 1;
    }
    false
}
