//! The console: a Unix socket beside the book, on which the command line talks to a running server.
//!
//! Who is on the other end is what the operating system vouches for: the server's own user, or root.

pub mod client;
pub mod protocol;
pub mod server;
pub mod views;

use std::path::{Path, PathBuf};

/// Where the socket of the server on this folder is.
pub fn socket_of(data: &Path) -> PathBuf {
    data.join("console.sock")
}
