//! The command line's end of the console.

use super::protocol::{Request, Response};
use crate::failure::{Failure, Words};
use serde_json::Value;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use switchbook_projections::text;

/// A connection to the running server.
pub struct Client {
    socket: PathBuf,
    reader: BufReader<UnixStream>,
    writer: BufWriter<UnixStream>,
}

impl Client {
    /// Connects to the server on this socket.
    pub fn connect(socket: &Path) -> Result<Self, Failure> {
        let refused = |error: std::io::Error| {
            let place = socket.display();
            Failure::new(text!(
                "no server answers at {place} ({error})",
                "An {place} antwortet kein Server ({error})"
            ))
            .code("NO_SERVER")
            .advice(text!(
                "Start one with `switchbook serve`, or name its folder with --data (or SWITCHBOOK_DATA).",
                "Starten Sie einen mit `switchbook serve`, oder nennen Sie seinen Ordner mit --data (oder SWITCHBOOK_DATA)."
            ))
        };
        let stream = UnixStream::connect(socket).map_err(refused)?;
        let reader = BufReader::new(stream.try_clone().map_err(refused)?);
        Ok(Self { socket: socket.to_owned(), reader, writer: BufWriter::new(stream) })
    }

    /// Sends a request and, for a bulk, the lines that belong to it.
    pub fn send<'a>(
        &mut self,
        request: &Request,
        lines: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), Failure> {
        let broken = |error: std::io::Error| {
            let place = self.socket.display();
            let told = text!(
                "the server at {place} hung up: {error}",
                "Der Server an {place} hat aufgelegt: {error}"
            );
            Failure::new(told).code("ANSWER_LOST")
        };
        let head = serde_json::to_string(request)
            .map_err(|error| Failure::new(format!("the request cannot be written: {error}")))?;
        self.writer.write_all(head.as_bytes()).map_err(broken)?;
        self.writer.write_all(b"\n").map_err(broken)?;
        for line in lines {
            self.writer.write_all(line.as_bytes()).map_err(broken)?;
            self.writer.write_all(b"\n").map_err(broken)?;
        }
        self.writer.flush().map_err(broken)
    }

    /// Waits for the answer; progress goes to `progress` meanwhile.
    pub fn answer(&mut self, mut progress: impl FnMut(usize, usize)) -> Result<Value, Failure> {
        loop {
            let mut line = String::new();
            let read = self.reader.read_line(&mut line);
            if !matches!(read, Ok(1..)) {
                let told = text!(
                    "the server ended before it answered",
                    "Der Server endete, bevor er antwortete"
                );
                return Err(Failure::new(told).code("ANSWER_LOST").advice(text!(
                    "Whether the command was carried out is in the book: look with `switchbook audit history`.",
                    "Ob der Befehl ausgeführt wurde, steht im Buch: Sehen Sie nach mit `switchbook audit history`."
                )));
            }
            match serde_json::from_str(&line) {
                Ok(Response::Progress { done, of }) => progress(done, of),
                Ok(Response::Done(value)) => return Ok(value),
                Ok(Response::Refused { code, text, text_de, text_en, facts, line }) => {
                    let refused = Failure::refused(&code, &text, line);
                    return Err(refused.texts(text_de, text_en).facts(facts));
                }
                Ok(Response::Failed { text, text_de }) => {
                    return Err(Failure::new(Words { english: text, german: text_de }));
                }
                Err(error) => {
                    return Err(Failure::new(format!(
                        "the server's answer makes no sense: {error}"
                    ))
                    .advice("Are command line and server of the same version?"));
                }
            }
        }
    }

    /// One request, one answer.
    pub fn ask(&mut self, request: &Request) -> Result<Value, Failure> {
        self.send(request, [])?;
        self.answer(|_, _| ())
    }
}
