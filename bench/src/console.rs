//! The server's console, spoken as its command line speaks it: one JSON object a line.

use serde_json::{Value, json};
use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// Lists are megabytes long.
const BUFFER: usize = 256 * 1024;

/// A connection.
pub struct Console {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
}

impl Console {
    /// Connects to the server on this folder as soon as it listens.
    ///
    /// # Errors
    /// When it does not listen within `patience`, or does not run any more.
    pub fn connect(
        folder: &Path,
        patience: Duration,
        runs: &mut dyn FnMut() -> bool,
    ) -> Result<Self, Box<dyn Error>> {
        let socket = folder.join("console.sock");
        let began = Instant::now();
        loop {
            match UnixStream::connect(&socket) {
                Ok(writer) => {
                    let reader = BufReader::with_capacity(BUFFER, writer.try_clone()?);
                    return Ok(Self { reader, writer });
                }
                Err(error) if began.elapsed() > patience || !runs() => {
                    let place = socket.display();
                    return Err(format!("no server answers at {place}: {error}").into());
                }
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// Carries out one command.
    ///
    /// # Errors
    /// When it is refused.
    pub fn submit(&mut self, command: &Value) -> Result<Value, Box<dyn Error>> {
        self.ask(&format!("{}\n", json!({ "do": "submit", "command": command })))
    }

    /// Carries out many commands, all or none.
    ///
    /// # Errors
    /// When one is refused.
    pub fn apply(&mut self, commands: &[Value]) -> Result<Value, Box<dyn Error>> {
        let mut text = format!("{}\n", json!({ "do": "apply", "lines": commands.len() }));
        for command in commands {
            text.push_str(&command.to_string());
            text.push('\n');
        }
        self.ask(&text)
    }

    /// A view's data, now or as of a position or a moment.
    ///
    /// # Errors
    /// When there is no such view.
    pub fn view(
        &mut self,
        view: &str,
        arguments: &Value,
        as_of: Option<&str>,
    ) -> Result<Value, Box<dyn Error>> {
        let shown = self.shown(view, arguments, as_of)?;
        let mut shown: Value = serde_json::from_str(&shown)?;
        Ok(shown["done"]["data"].take())
    }

    /// The same as the line that the server answers with. To make values of three megabytes takes whoever asked for them as
    /// long as it takes the server to make the line.
    ///
    /// # Errors
    /// When there is no such view.
    pub fn shown(
        &mut self,
        view: &str,
        arguments: &Value,
        as_of: Option<&str>,
    ) -> Result<String, Box<dyn Error>> {
        let mut request =
            json!({ "do": "view", "view": view, "arguments": arguments, "for": "programs" });
        if let Some(as_of) = as_of {
            request["as_of"] = as_of.into();
        }
        self.writer.write_all(format!("{request}\n").as_bytes())?;
        let mut line = String::new();
        match self.reader.read_line(&mut line)? {
            0 => Err("the server hung up".into()),
            _ if line.starts_with(r#"{"done":"#) && line.ends_with("}\n") => Ok(line),
            _ => Err(format!("the server did not show it: {}", line.trim_end()).into()),
        }
    }

    fn ask(&mut self, text: &str) -> Result<Value, Box<dyn Error>> {
        self.writer.write_all(text.as_bytes())?;
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line)? == 0 {
                return Err("the server hung up".into());
            }
            let mut answer: Value = serde_json::from_str(&line)?;
            if answer.get("progress").is_some() {
                continue;
            }
            return match answer.get_mut("done") {
                Some(done) => Ok(done.take()),
                None => Err(format!("the server did not do it: {}", line.trim_end()).into()),
            };
        }
    }
}
