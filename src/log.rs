//! The log on standard error. What comes from outside (names, headers, errors of others) cannot steer the terminal it is
//! read on.

use std::fmt::{self, Write};
use std::io::IsTerminal;
use switchbook_projections::text::steers;
use tracing::field::Field;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{self, Writer};

/// What goes wrong is told on standard error; `SWITCHBOOK_LOG` or `log` in the file tell more.
pub fn init(wanted: Option<&str>) {
    let wanted = wanted.map(ToOwned::to_owned).or_else(|| std::env::var("SWITCHBOOK_LOG").ok());
    let filter = EnvFilter::new(wanted.unwrap_or_else(|| "warn".into()));
    let log = subscriber(filter, std::io::stderr().is_terminal(), std::io::stderr);
    let _ = tracing::subscriber::set_global_default(log);
}

fn subscriber<W>(
    filter: EnvFilter,
    colours: bool,
    writer: W,
) -> impl tracing::Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    // A log that cannot be written must never end the telephony: its errors are swallowed.
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colours)
        .log_internal_errors(false)
        .fmt_fields(format::debug_fn(field).delimited(" "))
        .with_writer(writer)
        .finish()
}

/// `name=value`, and the message without its name.
fn field(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    match field.name() {
        "message" => write!(Plain(writer), "{value:?}"),
        name => write!(Plain(writer), "{name}={value:?}"),
    }
}

/// Escapes what would steer a terminal.
struct Plain<'a, W>(&'a mut W);

impl<W: Write> Write for Plain<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if !text.chars().any(steers) {
            return self.0.write_str(text);
        }
        text.chars().try_for_each(|c| match steers(c) {
            true => write!(self.0, "{}", c.escape_unicode()),
            false => self.0.write_char(c),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn c22_names_and_headers_in_the_log_steer_no_terminal() {
        let paper = Paper::default();
        let on = paper.clone();
        let log = subscriber(EnvFilter::new("warn"), false, move || on.clone());
        let name = "bob\u{202e}ada\u{1b}[31m\u{9b}x\r\nWARN forged";
        tracing::subscriber::with_default(log, || {
            tracing::warn!(device = name, shown = %name, quoted = ?name, "from {name}");
        });
        let text = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(!text.trim_end().chars().any(steers), "{text:?}");
        assert!(
            text.contains("from bob") && text.contains("device=") && text.contains("shown=bob")
        );
        assert!(text.contains("forged"), "nothing is lost: {text}");
    }
}
