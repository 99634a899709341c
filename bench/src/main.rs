//! `switchbook-bench`: makes large books and measures on them. Every measurement is one command.

use clap::{Parser, Subcommand};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use switchbook_bench::year::{self, Year};
use switchbook_bench::{
    as_of, closed_loop, growth, memory, replay, report::Report, routing, start,
};
use switchbook_core::position::Moment;

/// Makes large books and measures on them.
#[derive(Parser)]
#[command(name = "switchbook-bench", version, arg_required_else_help = true)]
struct Arguments {
    /// Output for programs.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Writes the book of a year into a folder.
    Year {
        /// The folder; it is made.
        folder: PathBuf,
        #[command(flatten)]
        size: Size,
    },
    /// Reading, decoding, and folding into all tables.
    Replay {
        #[command(flatten)]
        book: Wanted,
        /// Best of so many.
        #[arg(long, default_value_t = 5)]
        turns: u32,
    },
    /// Starting the server after kill -9, to the first REGISTER accepted.
    Start {
        #[command(flatten)]
        book: Wanted,
        /// The server.
        #[arg(long, default_value = "target/release/switchbook")]
        binary: PathBuf,
        /// So many kills.
        #[arg(long, default_value_t = 5)]
        turns: u32,
    },
    /// Views as of random positions.
    AsOf {
        #[command(flatten)]
        book: Wanted,
        /// The server.
        #[arg(long, default_value = "target/release/switchbook")]
        binary: PathBuf,
        /// So many positions for each view.
        #[arg(long, default_value_t = 25)]
        looks: u32,
    },
    /// REGISTER, a command and a look at the past in books of different age, with a plot.
    Growth {
        /// The server.
        #[arg(long, default_value = "target/release/switchbook")]
        binary: PathBuf,
        /// So many events each.
        #[arg(long, num_args = 1.., default_values_t = [10_000, 100_000, 1_000_000])]
        sizes: Vec<u64>,
        /// So many users, the same in every book.
        #[arg(long, default_value_t = 500)]
        users: u32,
        /// So many registrations and commands.
        #[arg(long, default_value_t = 300)]
        turns: u32,
        /// So many looks at the past.
        #[arg(long, default_value_t = 5)]
        looks: u32,
        /// The same seed, the same books.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Where the plot goes.
        #[arg(long)]
        plot: Option<PathBuf>,
    },
    /// Memory a registration and a call in progress hold, in a real server.
    Memory {
        /// The server.
        #[arg(long, default_value = "target/release/switchbook")]
        binary: PathBuf,
        /// Two counts of registrations.
        #[arg(long, num_args = 2, default_values_t = [10_000, 50_000])]
        registrations: Vec<u32>,
        /// Two counts of calls in progress.
        #[arg(long, num_args = 2, default_values_t = [1_000, 4_000])]
        calls: Vec<u32>,
        /// Seconds of quiet before each reading. A transaction ends after 32 (RFC 3261, timer J), and is no part of what a
        /// registration holds.
        #[arg(long, default_value_t = 36)]
        rest: u64,
    },
    /// Registrations in a closed loop, against a server that runs with the users of `gen_users.py`.
    ClosedLoop {
        /// Where it listens.
        server: std::net::SocketAddr,
        /// So many users register, each once.
        #[arg(long, default_value_t = 20_000)]
        users: u32,
        /// So many at any moment.
        #[arg(long, default_value_t = 50)]
        phones: usize,
    },
    /// Routing decisions with reasons a second, on one core.
    Routing {
        /// So many users.
        #[arg(long, default_value_t = 10_000)]
        users: u32,
        /// So many decisions a turn, of each kind of call.
        #[arg(long, default_value_t = 1_000_000)]
        decisions: u32,
        /// Best of so many.
        #[arg(long, default_value_t = 5)]
        turns: u32,
        /// The same seed, the same calls.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// The whole book verified.
    Verify {
        #[command(flatten)]
        book: Wanted,
    },
}

#[derive(clap::Args)]
struct Size {
    /// So many events.
    #[arg(long, default_value_t = 5_000_000)]
    events: u64,
    /// So many users.
    #[arg(long, default_value_t = 10_000)]
    users: u32,
    /// The same seed, the same book.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// When the year ends, in seconds since 1970; now when not given.
    #[arg(long)]
    ends: Option<i64>,
    /// Lets the index take it in as well, as a server does.
    #[arg(long)]
    index: bool,
}

/// A book that is there, or one that is made for the measurement and removed.
#[derive(clap::Args)]
struct Wanted {
    /// A folder made by `year`; made anew in a folder of its own when not given.
    #[arg(long)]
    book: Option<PathBuf>,
    #[command(flatten)]
    size: Size,
}

impl Wanted {
    fn with<T>(
        &self,
        work: impl FnOnce(&Path) -> Result<T, Box<dyn Error>>,
    ) -> Result<T, Box<dyn Error>> {
        if let Some(folder) = &self.book {
            return work(folder);
        }
        let folder = tempfile::tempdir_in(".")?;
        // A server keeps its list of erasures beside the book: both go with the folder.
        let book = folder.path().join("book");
        make(&book, &self.size)?;
        work(&book)
    }
}

fn now() -> Moment {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Moment(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

fn make(folder: &Path, size: &Size) -> Result<(), Box<dyn Error>> {
    let ends = size.ends.map_or_else(now, |seconds| Moment(0).plus_seconds(seconds));
    let wanted = Year::ending(ends, size.events, size.users, size.seed);
    let began = Instant::now();
    let runtime = runtime()?;
    let told = &mut |written| eprint!("\r{written} of {} events", wanted.events);
    let tail = runtime.block_on(year::write(folder, &wanted, told))?;
    eprintln!("\r{} events in {:.1} s", tail.0, began.elapsed().as_secs_f64());
    if size.index {
        let began = Instant::now();
        runtime.block_on(year::index(folder))?;
        eprintln!("indexed in {:.1} s", began.elapsed().as_secs_f64());
    }
    Ok(())
}

fn measured(arguments: &Arguments) -> Result<Option<Report>, Box<dyn Error>> {
    match &arguments.what {
        What::Year { folder, size } => make(folder, size).map(|()| None),
        What::Replay { book, turns } => {
            book.with(|folder| replay::measure(folder, *turns)).map(Some)
        }
        What::Start { book, binary, turns } => {
            book.with(|folder| start::measure(binary, folder, *turns)).map(Some)
        }
        What::AsOf { book, binary, looks } => {
            let seed = book.size.seed;
            book.with(|folder| as_of::measure(binary, folder, *looks, seed)).map(Some)
        }
        What::Growth { binary, sizes, users, turns, looks, seed, plot } => {
            let (users, turns, looks, seed) = (*users, *turns, *looks, *seed);
            let wanted = growth::Wanted { binary, users, seed, turns, looks };
            let (report, drawn) = growth::measure(wanted, sizes, now())?;
            if let Some(plot) = plot {
                std::fs::write(plot, drawn)?;
            }
            Ok(Some(report))
        }
        What::Memory { binary, registrations, calls, rest } => {
            let two = |counts: &[u32]| <[u32; 2]>::try_from(counts);
            let rest = Duration::from_secs(*rest);
            memory::measure(binary, two(registrations)?, two(calls)?, rest).map(Some)
        }
        What::ClosedLoop { server, users, phones } => {
            closed_loop::measure(*server, *users, *phones).map(Some)
        }
        What::Routing { users, decisions, turns, seed } => {
            routing::measure(*users, *decisions, *turns, *seed).map(Some)
        }
        What::Verify { book } => book.with(as_of::verified).map(Some),
    }
}

/// As the server has.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    let arguments = Arguments::parse();
    match measured(&arguments) {
        Ok(report) => {
            report.iter().for_each(|report| report.print(arguments.json));
            std::process::ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            std::process::ExitCode::FAILURE
        }
    }
}
