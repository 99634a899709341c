//! A damaged index costs time and nothing else. In a process of its own: sled's flush of a damaged database can wait for
//! ever, and would hold up every other database of the process with it.

#![allow(clippy::unwrap_used, missing_docs)]

mod questions;
mod support;

use questions::*;
use std::path::Path;
use switchbook_journal::EventReader;

#[tokio::test]
async fn an_index_that_is_gone_or_damaged_is_made_anew_while_the_segments_serve() {
    let folder = tempfile::tempdir().unwrap();
    let damage: [fn(&Path); 4] = [
        |index| std::fs::remove_dir_all(index).unwrap(),
        |index| std::fs::write(index.join("db"), b"not a database").unwrap(),
        |index| flip_bytes(&index.join("db")),
        |index| std::fs::write(index.join("conf"), [0; 7]).unwrap(),
    ];
    {
        let opened = open(folder.path(), true);
        fill(&opened.store, 20_000).await;
        wait_for_index(&opened.store, 17_000);
    }
    for spoil in damage {
        let names = std::fs::read_dir(folder.path()).unwrap().flatten();
        let index = names.filter(|e| e.file_name().to_str().unwrap().starts_with("index-"));
        spoil(&index.last().unwrap().path());
        let opened = open(folder.path(), true);
        check(&opened.store).await;
        wait_for_index(&opened.store, opened.store.tail().0);
        check(&opened.store).await;
    }
}

fn flip_bytes(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    for at in (0..bytes.len()).step_by(1009) {
        bytes[at] ^= 0x55;
    }
    std::fs::write(path, bytes).unwrap();
}
