//! The one binary.

use std::process::ExitCode;

/// Messages and events are made on one thread and let go on another; the system's allocator pays for that with locks and
/// searches, a tenth of all the time a call takes (docs/performance.md).
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    switchbook::main()
}
