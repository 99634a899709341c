//! The server's end of the console: one task a connection, one request at a time on each.

use super::protocol::{LONGEST_LINE, Language, Request, Response};
use crate::audit::{Question, answer};
use crate::erasure::is_erasure;
use crate::failure::{Failure, Words, failed};
use crate::rooms::Rooms;
use crate::seal::NoSeal;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use switchbook_commands::audit::Opened;
use switchbook_commands::backup;
use switchbook_commands::desk::{Bulk, DeskError, Progress};
use switchbook_commands::{Command, Order, Refusal, Warning};
use switchbook_core::envelope::Actor;
use switchbook_core::event::Event;
use switchbook_core::id::{CommandId, UserId};
use switchbook_projections::text;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWriteExt, BufReader, BufWriter};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

/// Most lines of one bulk.
const MOST_LINES: usize = 1_000_000;

/// Makes the socket. One left behind by a server that was killed is replaced: the book's lock says that no other server
/// is there.
pub fn bind(path: &Path) -> Result<UnixListener, Failure> {
    let doing = format!("the console's socket {} cannot be made", path.display());
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(failed(&doing)(error));
        }
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(failed(&doing))?;
    let only_us = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(path, only_us).map_err(failed(&doing))?;
    Ok(listener)
}

/// Answers on the socket until the task is aborted.
pub fn listen(listener: UnixListener, rooms: Arc<Rooms>) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let rooms = Arc::clone(&rooms);
                    tokio::spawn(async move { serve(stream, rooms).await });
                }
                Err(error) => {
                    tracing::warn!(%error, "the console cannot accept");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        }
    })
}

struct Session {
    reader: BufReader<OwnedReadHalf>,
    writer: BufWriter<OwnedWriteHalf>,
    rooms: Arc<Rooms>,
    actor: Actor,
}

async fn serve(stream: UnixStream, rooms: Arc<Rooms>) {
    let own = rustix::process::geteuid().as_raw();
    let uid = match stream.peer_cred() {
        Ok(peer) if peer.uid() == own || peer.uid() == 0 => peer.uid(),
        Ok(peer) => {
            tracing::warn!(uid = peer.uid(), "the console refuses another user");
            return;
        }
        Err(error) => {
            tracing::warn!(%error, "the console cannot tell who is there");
            return;
        }
    };
    let (reader, writer) = stream.into_split();
    let mut session = Session {
        reader: BufReader::new(reader),
        writer: BufWriter::new(writer),
        rooms,
        actor: Actor::Supervisor { uid },
    };
    while let Ok(Some(line)) = line(&mut session.reader).await {
        let answer = match serde_json::from_str::<Request>(&line) {
            Ok(request) => session.answer(request).await,
            Err(error) => Answer::failed(format!("that is no request: {error}")),
        };
        let sent = match answer {
            Answer::Shown(shown) => session.send_shown(&shown).await,
            Answer::Told(response) => session.send(&text(&response)).await,
        };
        if sent.is_err() {
            return;
        }
    }
}

/// One line of at most [`LONGEST_LINE`] bytes; `None` at the end.
async fn line(reader: &mut (impl AsyncBufRead + Unpin)) -> std::io::Result<Option<String>> {
    let mut bytes = Vec::new();
    loop {
        let chunk = reader.fill_buf().await?;
        if chunk.is_empty() {
            return Ok(None);
        }
        let (taken, whole) = match chunk.iter().position(|byte| *byte == b'\n') {
            Some(end) => (end + 1, true),
            None => (chunk.len(), false),
        };
        bytes.extend_from_slice(&chunk[..taken]);
        reader.consume(taken);
        if bytes.len() > LONGEST_LINE {
            return Err(std::io::ErrorKind::InvalidData.into());
        }
        if whole {
            let text = String::from_utf8(bytes);
            return text.map(Some).map_err(|_| std::io::ErrorKind::InvalidData.into());
        }
    }
}

/// What the server answers, as a line.
fn text(response: &Response) -> String {
    serde_json::to_string(response).unwrap_or_else(|error| {
        json!({ "failed": { "text": format!("the answer cannot be written: {error}") } })
            .to_string()
    })
}

/// What is sent back.
enum Answer {
    /// A view: the text of its JSON.
    Shown(String),
    /// All else.
    Told(Response),
}

impl Answer {
    fn failed(words: impl Into<Words>) -> Self {
        Self::Told(Response::failed(words))
    }
}

impl Session {
    /// Sends what is shown as it is: long lists are megabytes, and not copied into a line of their own first.
    async fn send_shown(&mut self, shown: &str) -> std::io::Result<()> {
        self.writer.write_all(b"{\"done\":").await?;
        self.writer.write_all(shown.as_bytes()).await?;
        self.writer.write_all(b"}\n").await?;
        self.writer.flush().await
    }

    async fn send(&mut self, answer: &str) -> std::io::Result<()> {
        self.writer.write_all(answer.as_bytes()).await?;
        self.writer.write_all(b"\n").await?;
        self.writer.flush().await
    }

    /// The answer to a request.
    async fn answer(&mut self, request: Request) -> Answer {
        let response = match request {
            Request::View(sight) => match self.rooms.view(&sight).await {
                Ok(shown) => return Answer::Shown(shown),
                Err(failure) => return Answer::failed(failure.words()),
            },
            Request::Submit { id, as_user, dry_run, command, language } => {
                self.submit(id, as_user, dry_run, command, language).await
            }
            Request::Apply { lines, dry_run, id, as_user, language } => {
                self.apply(lines, dry_run, id, as_user, language).await
            }
            Request::Audit { question, as_user, language } => {
                self.audit(&question, as_user, language).await
            }
            Request::Backup { to, as_user, language } => self.back_up(&to, as_user, language).await,
            Request::Seal { new_key, as_user, language } => {
                self.seal(new_key, as_user, language).await
            }
            Request::CompareIndex => match self.rooms.compare_index().await {
                Ok(value) => Response::Done(value),
                Err(failure) => Response::failed(failure.words()),
            },
        };
        Answer::Told(response)
    }

    fn on_behalf_of(&self, name: Option<&str>) -> Result<Option<UserId>, Failure> {
        let published = self.rooms.desk.published();
        name.map(|name| super::views::user(&published.exchange, name)).transpose()
    }

    async fn submit(
        &mut self,
        id: Option<uuid::Uuid>,
        as_user: Option<String>,
        dry_run: bool,
        command: Value,
        language: Language,
    ) -> Response {
        let mut command = match serde_json::from_value::<Command>(command) {
            Ok(command) => command,
            Err(error) => return not_understood(&error, None, language),
        };
        if let Command::PersonErase(erase) = &mut command {
            erase.user = self.rooms.person(&erase.user);
        }
        let behalf = match self.on_behalf_of(as_user.as_deref()) {
            Ok(behalf) => behalf,
            Err(failure) => return Response::failed(failure.words()),
        };
        let id = CommandId(id.unwrap_or_else(uuid::Uuid::now_v7));
        let mut order = Order::new(id, self.actor, command);
        order.on_behalf_of = behalf;
        if dry_run {
            return match self.rooms.desk.dry_run(order).await {
                Ok(decision) => {
                    let told = self.rooms.foretold(&decision.events, language);
                    done(told, &decision.events, &decision.warnings, language)
                }
                Err(error) => refused(&error, language),
            };
        }
        match self.rooms.desk.submit(order).await {
            Ok(answer) => {
                self.rooms.react(&answer.records).await;
                // The next view of this sender shows what he just did.
                let _ = self.rooms.readers.wait_for(answer.position).await;
                let events: Vec<Event> =
                    answer.records.iter().map(|recorded| recorded.event.clone()).collect();
                // Nobody is told that somebody is erased while his key is there.
                if events.iter().any(is_erasure)
                    && let Err(failure) = self.rooms.erasures.carried_out(answer.position).await
                {
                    return Response::failed(failure.words());
                }
                let told = events.iter().map(|e| self.rooms.sentence(e, language)).collect();
                done(told, &events, &answer.warnings, language)
            }
            Err(error) => refused(&error, language),
        }
    }

    /// An opening is in the book before anything is opened.
    async fn audit(
        &mut self,
        question: &Question,
        as_user: Option<String>,
        language: Language,
    ) -> Response {
        let behalf = match self.on_behalf_of(as_user.as_deref()) {
            Ok(behalf) => behalf,
            Err(failure) => return Response::failed(failure.words()),
        };
        let person = match question {
            Question::Export { user } => self.rooms.user_id(user),
            _ => None,
        };
        let opened = Opened { view: question.name().into(), person };
        let mut order = Order::new(CommandId(uuid::Uuid::now_v7()), self.actor, opened);
        order.on_behalf_of = behalf;
        if let Err(error) = self.rooms.desk.submit(order).await {
            return refused(&error, language);
        }
        let (book, open) = (self.rooms.readers.book(), self.rooms.readers.opener());
        match answer(book.as_ref(), open, question, language).await {
            Ok(value) => Response::Done(value),
            Err(failure) => Response::failed(failure.words()),
        }
    }

    /// It is in the book before it is made: whoever has a backup can read what is personal.
    async fn back_up(
        &mut self,
        to: &Path,
        as_user: Option<String>,
        language: Language,
    ) -> Response {
        let behalf = match self.on_behalf_of(as_user.as_deref()) {
            Ok(behalf) => behalf,
            Err(failure) => return Response::failed(failure.words()),
        };
        // What cannot be made is not said to have been taken.
        if let Err(error) = self.rooms.has_room_for_backup(to).await {
            return Response::failed(error.to_string());
        }
        // Where it is on this machine says nothing to an auditor, and may say more than it should.
        let target = to.file_name().unwrap_or(to.as_os_str()).to_string_lossy().into_owned();
        let taken = backup::Taken { target };
        let mut order = Order::new(CommandId(uuid::Uuid::now_v7()), self.actor, taken);
        order.on_behalf_of = behalf;
        if let Err(error) = self.rooms.desk.submit(order).await {
            return refused(&error, language);
        }
        match self.rooms.back_up(to).await {
            Ok(manifest) => Response::Done(crate::cli::backup::summary(&manifest)),
            Err(error) => Response::failed(error.to_string()),
        }
    }

    async fn seal(
        &mut self,
        new_key: bool,
        as_user: Option<String>,
        language: Language,
    ) -> Response {
        let (sealer, actor) = (Arc::clone(&self.rooms.sealer), self.actor);
        let sealed = match self.on_behalf_of(as_user.as_deref()) {
            Ok(behalf) if new_key => sealer.rotate(actor, behalf).await,
            Ok(behalf) => sealer.seal(actor, behalf).await,
            Err(failure) => Err(NoSeal::Failed(failure)),
        };
        match sealed {
            Ok(sealed) => Response::Done(sealed.answer()),
            Err(NoSeal::Refused(error)) => refused(&error, language),
            Err(NoSeal::Failed(failure)) => Response::failed(failure.words()),
        }
    }

    async fn apply(
        &mut self,
        lines: usize,
        dry_run: bool,
        id: Option<uuid::Uuid>,
        as_user: Option<String>,
        language: Language,
    ) -> Response {
        if lines > MOST_LINES {
            return Response::failed(text!(
                "{lines} commands at once are too many: at most {MOST_LINES}",
                "{lines} Befehle auf einmal sind zu viele: höchstens {MOST_LINES}"
            ));
        }
        let behalf = self.on_behalf_of(as_user.as_deref());
        let mut commands = Vec::with_capacity(lines);
        let mut wrong = None;
        for number in 1..=lines {
            // All lines are read even if one is wrong, so that the connection stays in step.
            let Ok(Some(text)) = line(&mut self.reader).await else {
                return Response::failed(text!(
                    "the file ended too early",
                    "die Datei endete zu früh"
                ));
            };
            match serde_json::from_str::<Command>(&text) {
                Ok(command) => commands.push(command),
                Err(error) => {
                    wrong.get_or_insert_with(|| not_understood(&error, Some(number), language));
                }
            }
        }
        if let Some(wrong) = wrong {
            return wrong;
        }
        let on_behalf_of = match behalf {
            Ok(behalf) => behalf,
            Err(failure) => return Response::failed(failure.words()),
        };
        let id = CommandId(id.unwrap_or_else(uuid::Uuid::now_v7));
        let bulk = Bulk { id, actor: self.actor, on_behalf_of, commands };
        self.carry_out(bulk, lines, dry_run, language).await
    }

    async fn carry_out(
        &mut self,
        bulk: Bulk,
        lines: usize,
        dry_run: bool,
        language: Language,
    ) -> Response {
        let progress = Progress::default();
        let desk = self.rooms.desk.clone();
        let watched = progress.clone();
        let rooms = Arc::clone(&self.rooms);
        let mut work = tokio::spawn(async move {
            if dry_run {
                let (events, warnings) = desk.dry_apply(bulk, &watched).await?;
                return Ok::<_, DeskError>((events.len(), warnings, None, None));
            }
            let mut erased = None;
            let answer = desk.apply(bulk, &watched).await?;
            rooms.react(&answer.records).await;
            if answer.records.iter().any(|recorded| is_erasure(&recorded.event)) {
                erased = Some(answer.position);
            }
            Ok((answer.records.len(), answer.warnings, Some(answer.position), erased))
        });
        let mut tick = tokio::time::interval(std::time::Duration::from_millis(100));
        let outcome = loop {
            tokio::select! {
                outcome = &mut work => break outcome,
                _ = tick.tick() => {
                    let so_far = Response::Progress { done: progress.decided(), of: lines };
                    if self.send(&text(&so_far)).await.is_err() {
                        // Nobody waits for it any more: what was not handed to the writer yet is not done.
                        progress.cancel();
                    }
                }
            }
        };
        match outcome {
            Ok(Ok((events, warnings, position, erased))) => {
                if let Some(position) = position {
                    let _ = self.rooms.readers.wait_for(position).await;
                }
                if let Some(position) = erased
                    && let Err(failure) = self.rooms.erasures.carried_out(position).await
                {
                    return Response::failed(failure.words());
                }
                Response::Done(json!({
                    "commands": lines,
                    "events": events,
                    "warnings": sentences(&warnings, language),
                    "position": position.map(|position| position.0),
                }))
            }
            Ok(Err(error)) => refused(&error, language),
            Err(error) => Response::failed(text!(
                "the bulk broke off: {error}",
                "die Liste brach ab: {error}"
            )),
        }
    }
}

fn not_understood(error: &serde_json::Error, line: Option<usize>, language: Language) -> Response {
    let code = "COMMAND_NOT_UNDERSTOOD".into();
    let text_de = format!("Der Befehl wurde nicht verstanden: {error}");
    let text_en = format!("The command was not understood: {error}");
    let text = match language {
        Language::German => text_de.clone(),
        Language::English => error.to_string(),
    };
    Response::Refused { code, text, text_de, text_en, facts: serde_json::Map::new(), line }
}

fn refused(error: &DeskError, language: Language) -> Response {
    let told = |refusal: &Refusal, line| Response::Refused {
        code: refusal.code.as_str().into(),
        text: refusal.sentence(language.into()),
        text_de: refusal.sentence(Language::German.into()),
        text_en: refusal.sentence(Language::English.into()),
        facts: refusal.facts.iter().map(|(k, v)| ((*k).into(), v.as_str().into())).collect(),
        line,
    };
    match error {
        DeskError::Refused(refusal) => told(refusal, None),
        DeskError::RefusedInBulk { index, refusal } => told(refusal, Some(index + 1)),
        DeskError::Closed => Response::failed(error.to_string()),
    }
}

fn sentences(warnings: &[Warning], language: Language) -> Vec<String> {
    warnings.iter().map(|warning| warning.sentence(language.into())).collect()
}

fn done(told: Vec<String>, events: &[Event], warnings: &[Warning], language: Language) -> Response {
    let kinds: Vec<&str> = events.iter().map(Event::name).collect();
    Response::Done(json!({
        "events": told,
        "kinds": kinds,
        "warnings": sentences(warnings, language),
    }))
}
