//! A list of checkpoints in a file. Whatever is in it stays; only half a checkpoint at its end, which a full disk or a power
//! cut has left, is cut off.

use crate::failure::{Failure, failed};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use switchbook_journal::note::SignedNote;

/// A checkpoint with all its signatures is shorter.
const TAIL: u64 = 64 * 1024;
/// What stands before a signature: U+2014 and a space.
const DASH: &[u8] = "\u{2014} ".as_bytes();

/// Appends a checkpoint, durably. What was begun and not finished is taken back.
pub(super) fn append(path: &Path, checkpoint: &str) -> Result<(), Failure> {
    let doing = format!("{} cannot be appended to", path.display());
    let file = OpenOptions::new().read(true).append(true).create(true).open(path);
    let mut file = file.map_err(failed(&doing))?;
    let length = mend(&mut file, path, checkpoint)?;
    let written = file.write_all(format!("{checkpoint}\n").as_bytes());
    if written.is_err() && file.set_len(length).is_err() {
        tracing::warn!(path = %path.display(), "half a checkpoint stands at the end of the list");
    }
    written.and_then(|()| file.sync_all()).map_err(failed(&doing))
}

/// Which of these it has already.
pub(super) fn holds(path: &Path, checkpoints: &[String]) -> Result<Vec<bool>, Failure> {
    let text = match std::fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        text => text.map_err(failed(&format!("{} cannot be read", path.display())))?,
    };
    let text = String::from_utf8_lossy(&text);
    Ok(checkpoints.iter().map(|checkpoint| text.contains(checkpoint.as_str())).collect())
}

/// Cuts half a checkpoint off the end. Gives the length then.
fn mend(file: &mut File, path: &Path, checkpoint: &str) -> Result<u64, Failure> {
    let doing = format!("{} cannot be read", path.display());
    let length = file.metadata().map_err(failed(&doing))?.len();
    let from = length.saturating_sub(TAIL);
    let mut tail = Vec::new();
    let read = file.seek(SeekFrom::Start(from)).and_then(|_| file.read_to_end(&mut tail));
    read.map_err(failed(&doing))?;
    let whole = whole(&tail);
    let torn = &tail[whole..];
    if torn.iter().all(u8::is_ascii_whitespace) || is_whole(torn) {
        return Ok(length);
    }
    let origin = checkpoint.split_inclusive('\n').next().unwrap_or_default().as_bytes();
    if !(torn.starts_with(origin) || origin.starts_with(torn)) {
        return Err(Failure::new(format!(
            "{} ends with something that is no checkpoint of this book, and nothing is appended to it",
            path.display()
        ))
        .advice("Name another file, or remove what stands behind the last signature."));
    }
    let (whole, bytes) = (from + whole as u64, torn.len());
    file.set_len(whole).map_err(failed(&format!(
        "half a checkpoint at the end of {} cannot be cut off",
        path.display()
    )))?;
    tracing::warn!(
        path = %path.display(), bytes,
        "half a checkpoint, which a full disk or a power cut had left, was cut off the list"
    );
    Ok(whole)
}

/// A checkpoint with all its signatures, without the empty line behind it.
fn is_whole(bytes: &[u8]) -> bool {
    let note = std::str::from_utf8(bytes).ok().and_then(|text| text.parse::<SignedNote>().ok());
    // One that hands over bears the next key's signature too.
    note.is_some_and(|note| note.text.lines().count() == 3 || note.next_key().is_some())
}

/// Where the last whole checkpoint ends: behind the empty line that follows its signatures.
fn whole(tail: &[u8]) -> usize {
    let (mut at, mut end, mut signed) = (0, 0, false);
    for line in tail.split_inclusive(|byte| *byte == b'\n') {
        // The beginning of another signature ends nothing.
        let ended = signed && !line.starts_with(DASH) && !DASH.starts_with(line);
        if ended {
            // An empty line belongs to it; where there is none, the next one has begun.
            end = if line == b"\n" { at + 1 } else { at };
        }
        signed = line.starts_with(DASH) && line.ends_with(b"\n");
        at += line.len();
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchbook_journal::note::{Checkpoint, KeyKind, Signer};

    fn signer(seed: u8) -> Signer {
        Signer::new("pbx.test/b", KeyKind::Log, &[seed; 32]).unwrap()
    }

    fn at(size: u64) -> Checkpoint {
        Checkpoint { origin: "pbx.test/b".into(), size, root: [7; 32] }
    }

    /// A full disk left half a checkpoint, and every reader of the list refused all of it from then on.
    #[test]
    fn half_a_checkpoint_at_the_end_is_cut_and_the_list_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        let [first, torn, next] = [
            SignedNote::sign(&at(10), &signer(1)).to_string(),
            SignedNote::hand_over(&at(20), &signer(1), &signer(2)).to_string(),
            SignedNote::sign(&at(30), &signer(2)).to_string(),
        ];
        for cut in 0..torn.len() {
            for before in [String::new(), format!("{first}\n")] {
                let left = format!("{before}{}", String::from_utf8_lossy(&torn.as_bytes()[..cut]));
                std::fs::write(&path, [before.as_bytes(), &torn.as_bytes()[..cut]].concat())
                    .unwrap();
                append(&path, &next).unwrap();
                let text = std::fs::read_to_string(&path).unwrap();
                assert_eq!(text, format!("{before}{next}\n"), "{cut} of {left}");
            }
        }
        // A whole one is none, also where somebody has left out the empty line.
        std::fs::write(&path, format!("{first}{torn}")).unwrap();
        for _ in 0..2 {
            append(&path, &next).unwrap();
        }
        assert_eq!(SignedNote::list(&std::fs::read_to_string(&path).unwrap()).unwrap().len(), 4);
        let asked = [first.clone(), torn, "another".into()];
        assert_eq!(holds(&path, &asked).unwrap(), [true, true, false]);
        assert_eq!(holds(&folder.path().join("none"), &[first]).unwrap(), [false]);
    }

    #[test]
    fn a_file_that_is_no_list_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes");
        std::fs::write(&path, "remember the milk\n").unwrap();
        let next = SignedNote::sign(&at(30), &signer(2)).to_string();
        let told = append(&path, &next).unwrap_err().to_string();
        assert!(told.contains("no checkpoint of this book"), "{told}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "remember the milk\n");
    }
}
