//! `switchbook demo`: the whole thread on a fresh book, with two built-in phones and a third.

use crate::audit::{Question, answer};
use crate::cli::{Common, evidence, output};
use crate::console::protocol::Language;
use crate::failure::{Failure, failed};
use crate::house::House;
use crate::serve;
use crate::settings::{Http, Settings};
use clap::ArgMatches;
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use switchbook_commands::desk::{Answer, Clock, SystemClock};
use switchbook_commands::pattern::Written;
use switchbook_commands::wire::ProfileRef;
use switchbook_commands::{Command, Order, schedule};
use switchbook_core::envelope::Actor;
use switchbook_core::event::Event;
use switchbook_core::id::CommandId;
use switchbook_core::position::{Moment, Position};
use switchbook_core::schedule::Pattern;
use switchbook_sip_adapter::phone::{OnCall, Phone, PhoneConfig, PhoneEvent};

const REALM: &str = "switchbook.demo";
/// Nothing in the show takes longer.
const PATIENCE: Duration = Duration::from_secs(15);

/// Runs the show, then serves on.
pub fn run(common: &Common, matches: &ArgMatches) -> Result<(), Failure> {
    let mut settings = Settings { realm: Some(REALM.into()), ..Settings::default() };
    serve::listening(&mut settings, matches);
    crate::log::init(None);
    let given = matches.get_one::<PathBuf>("folder").cloned();
    let folder = match &given {
        Some(folder) => fresh(folder)?,
        None => std::env::temp_dir().join(format!("switchbook-demo-{}", uuid::Uuid::now_v7())),
    };
    let once = matches.get_flag("once");
    let shown = serve::runtime()?.block_on(async {
        let house = open(&folder, settings).await?;
        let shown = show(&folder, &house, common.language).await;
        if shown.is_ok() && !once {
            what_to_type(&folder, &house).await?;
            serve::Told::listen()?.asked().await;
        }
        house.stop().await?;
        shown
    });
    if given.is_none() {
        let _ = std::fs::remove_dir_all(&folder);
        let _ = std::fs::remove_dir_all(evidence_of(&folder));
        let _ = std::fs::remove_file(crate::erasure::beside(&folder));
    }
    shown
}

/// Where the copy for the auditor goes: beside the book, since nothing is put into it.
fn evidence_of(folder: &Path) -> PathBuf {
    let mut name = folder.file_name().unwrap_or_else(|| "switchbook-demo".as_ref()).to_owned();
    name.push(".evidence");
    folder.with_file_name(name)
}

/// A folder of the user's must not have a book yet.
fn fresh(folder: &Path) -> Result<PathBuf, Failure> {
    if folder.join("segments").exists() {
        let text = format!("{} has a book already", folder.display());
        return Err(Failure::new(text).advice(
            "The demo begins a fresh one: name another folder, or none for a temporary one.",
        ));
    }
    Ok(folder.to_owned())
}

/// Ports that are taken are no reason not to show anything.
async fn open(folder: &Path, settings: Settings) -> Result<House, Failure> {
    let chosen = (settings.sip, settings.http);
    match House::open(folder, &settings).await {
        Err(_) if chosen == (None, None) => {
            output::warning("port 5060 or 8060 is in use here: taking free ones");
            let free = |ip: Ipv4Addr| SocketAddr::from((ip, 0));
            let sip = Some(free(Ipv4Addr::UNSPECIFIED));
            let http = Some(Http::Address(free(Ipv4Addr::LOCALHOST)));
            House::open(folder, &Settings { sip, http, ..settings }).await
        }
        opened => opened,
    }
}

struct Stage<'a> {
    house: &'a House,
    language: Language,
    server: SocketAddr,
}

async fn show(folder: &Path, house: &House, language: Language) -> Result<(), Failure> {
    output::line(&format!("A fresh book in {}; phones at udp:{}", folder.display(), house.sip));
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, house.sip.port()));
    let stage = Stage { house, language, server };

    output::heading("1  An administrator's commands become events");
    for (user, name, number, phone) in
        [("ada", "Ada", "100", "p1"), ("bob", "Bob", "200", "p2"), ("cleo", "Cleo", "300", "p3")]
    {
        let device = json!({ "name": phone, "type": "desk", "password": secret(phone) });
        stage
            .tell(json!({ "command": "user.add", "username": user, "display_name": name,
            "numbers": [number], "devices": [device] }))
            .await?;
    }

    output::heading("2  Phones register with digest, and call");
    let mut ada = stage.phone("p1", 440).await?;
    let mut bob = stage.phone("p2", 880).await?;
    let mut cleo = stage.phone("p3", 1320).await?;
    stage.call(&mut ada, "200", &mut bob, "Bob's phone").await?;

    output::heading("3  A schedule fires, and the next call goes elsewhere");
    stage
        .tell(json!({ "command": "profile.add", "user": "bob", "name": "Lunch",
        "rules": [{ "when": "always", "to": "300" }] }))
        .await?;
    let before = stage.position();
    stage.schedule(3).await?;
    let fired = stage.fired(before).await?;
    stage.call(&mut ada, "200", &mut cleo, "Cleo's phone").await?;

    output::heading("4  Why did this call go there?");
    let explain =
        Question::Explain { call: "last".into(), withhold_plan: true, without: Vec::new() };
    stage.ask(&explain).await?;

    output::heading("5  Both truths: the numbers before and after the schedule was made");
    for position in [before, fired] {
        stage
            .ask(&Question::AsOf {
                when: position.to_string(),
                view: "number.list".into(),
                arguments: serde_json::Map::new(),
            })
            .await?;
    }

    output::heading(
        "6  Evidence: sealed, a person erased, all of it checked by a program of its own",
    );
    stage.evidence(folder).await
}

/// Passwords of the show's own phones; they are known to this process alone.
fn secret(phone: &str) -> String {
    // Long enough whatever the number of the process.
    format!("demo-{phone}-{}", std::process::id())
}

impl Stage<'_> {
    fn position(&self) -> Position {
        self.house.rooms.desk.published().position
    }

    async fn order(&self, command: Command) -> Result<Answer, Failure> {
        let uid = rustix::process::geteuid().as_raw();
        let id = CommandId(SystemClock.new_id());
        let order = Order::new(id, Actor::Supervisor { uid }, command);
        let answer = self.house.rooms.desk.submit(order).await;
        let answer = answer.map_err(failed("the demo's own command was not carried out"))?;
        let _ = self.house.rooms.readers.wait_for(answer.position).await;
        for recorded in answer.records.iter() {
            let told = self.house.rooms.sentence(&recorded.event, self.language);
            output::done(&format!("{:>5}  {told}", recorded.envelope.position.to_string()));
        }
        Ok(answer)
    }

    async fn tell(&self, command: Value) -> Result<Answer, Failure> {
        let command = serde_json::from_value(command).map_err(failed("the demo's own command"))?;
        self.order(command).await
    }

    async fn phone(&self, name: &str, tone: u32) -> Result<Phone, Failure> {
        let phone = Phone::start(PhoneConfig {
            name: name.into(),
            password: secret(name),
            domain: REALM.into(),
            server: self.server,
            ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            tone,
            on_call: OnCall::Answer(Duration::from_millis(300)),
        });
        let mut phone = phone.await.map_err(failed("a built-in phone has no socket"))?;
        phone.register(3600);
        let outcome = phone
            .wait_for(PATIENCE, |event| {
                matches!(event, PhoneEvent::Registered(_) | PhoneEvent::NotRegistered(_))
            })
            .await;
        match outcome {
            Some(PhoneEvent::Registered(seconds)) => {
                output::done(&format!("{name} registered for {seconds} s, playing {tone} Hz"));
                Ok(phone)
            }
            other => Err(Failure::new(format!("{name} could not register: {other:?}"))),
        }
    }

    /// One calls, the other answers; each must hear the other's tone.
    async fn call(
        &self,
        caller: &mut Phone,
        number: &str,
        callee: &mut Phone,
        who: &str,
    ) -> Result<(), Failure> {
        caller.call(number);
        let talks = |event: &PhoneEvent| *event == PhoneEvent::Talks;
        let both = tokio::join!(caller.wait_for(PATIENCE, talks), callee.wait_for(PATIENCE, talks));
        if both.0.is_none() || both.1.is_none() {
            return Err(Failure::new(format!("the call to {number} was not answered by {who}")));
        }
        let hears = |event: &PhoneEvent| matches!(event, PhoneEvent::Hears(tone) if *tone > 0);
        let heard =
            tokio::join!(caller.wait_for(PATIENCE, hears), callee.wait_for(PATIENCE, hears));
        let (Some(PhoneEvent::Hears(here)), Some(PhoneEvent::Hears(there))) = heard else {
            return Err(Failure::new(format!("the call to {number} stayed silent")));
        };
        output::done(&format!(
            "Ada's phone called {number}, {who} answered; Ada heard {here} Hz, the other side {there} Hz"
        ));
        caller.hang_up();
        let ended = |event: &PhoneEvent| *event == PhoneEvent::Ended;
        let ends = tokio::join!(caller.wait_for(PATIENCE, ended), callee.wait_for(PATIENCE, ended));
        if ends.0.is_none() || ends.1.is_none() {
            return Err(Failure::new(format!("the call to {number} did not end")));
        }
        Ok(())
    }

    /// Lets 200 use the profile from so many seconds on, for an hour.
    async fn schedule(&self, seconds: i64) -> Result<(), Failure> {
        let settings = self.house.rooms.desk.published().exchange.settings.clone();
        let zone = settings.map_or(chrono_tz::Tz::UTC, |settings| settings.time_zone.value);
        let wall = |moment: Moment| moment.utc().with_timezone(&zone).naive_local();
        let begins = SystemClock.now().plus_seconds(seconds);
        let pattern = Pattern::Dated { from: wall(begins), to: wall(begins.plus_seconds(3600)) };
        let add = schedule::Add {
            number: "200".parse().map_err(failed("the demo's own number"))?,
            profile: ProfileRef("bob/Lunch".into()),
            pattern: Written(pattern),
            priority: 0,
        };
        self.order(add.into()).await.map(|_| ())
    }

    /// Waits for the edge to stand in the book.
    async fn fired(&self, after: Position) -> Result<Position, Failure> {
        let wait = async {
            let (book, mut reached) =
                (self.house.rooms.desk.book(), self.house.rooms.desk.subscribe());
            let mut from = after.next();
            loop {
                let records = book.read(from, 100).await.unwrap_or_default();
                for recorded in &records {
                    from = recorded.envelope.position.next();
                    if matches!(recorded.event, Event::ScheduleFired(_)) {
                        return recorded.clone();
                    }
                }
                if records.is_empty() && reached.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        let fired = tokio::time::timeout(PATIENCE, wait).await;
        let fired = fired.map_err(|_| Failure::new("the schedule did not fire"))?;
        let position = fired.envelope.position;
        let _ = self.house.rooms.readers.wait_for(position).await;
        let told = self.house.rooms.sentence(&fired.event, self.language);
        output::done(&format!("{:>5}  {told}", position.to_string()));
        Ok(position)
    }

    /// Erases Ada: no byte of the book changes, and nobody can read her name in it any more.
    async fn erase(&self) -> Result<(), Failure> {
        let answer =
            self.tell(json!({ "command": "person.erase", "user": "ada", "confirm": true })).await?;
        self.house.rooms.erasures.carried_out(answer.position).await?;
        let records = self.house.rooms.desk.book().read(Position(1), 100).await;
        let records = records.map_err(failed("the book cannot be read"))?;
        let added = records.iter().find(|recorded| matches!(recorded.event, Event::UserAdded(_)));
        if let Some(added) = added {
            let (at, told) = (added.envelope.position, &added.event);
            let told = self.house.rooms.sentence(told, self.language);
            output::line(&format!("{:>7}  reads now: {told}", at.to_string()));
        }
        Ok(())
    }

    /// Seals the book and lets the verifier check it on a copy, with nothing but the public key.
    async fn evidence(&self, folder: &Path) -> Result<(), Failure> {
        let uid = rustix::process::geteuid().as_raw();
        let sealed = self.house.rooms.sealer.seal(Actor::Supervisor { uid }, None).await;
        let sealed = sealed.map_err(|no| Failure::new(no.to_string()))?;
        output::done(&format!(
            "{:>5}  the first {} records are sealed",
            sealed.at.to_string(),
            sealed.size
        ));
        output::line(&format!("The public key: {}", sealed.key));
        self.erase().await?;

        let away = evidence_of(folder);
        let copying = failed("the evidence cannot be copied");
        std::fs::create_dir_all(away.join("segments")).map_err(copying)?;
        for entry in std::fs::read_dir(folder.join("segments")).map_err(failed("the segments"))? {
            let path = entry.map_err(failed("the segments"))?.path();
            let name = path.file_name().unwrap_or_default();
            std::fs::copy(&path, away.join("segments").join(name)).map_err(failed("the copy"))?;
        }
        let (bundle, checkpoint) = (away.join("bundle.jsonl"), away.join("checkpoint"));
        std::fs::write(&checkpoint, &sealed.checkpoint).map_err(failed("the checkpoint"))?;
        let records = evidence::write_bundle(folder, &bundle, sealed.size)?;
        output::done(&format!("{records} records with their proofs are in {}", bundle.display()));

        let verify = |line: &[&std::ffi::OsStr]| {
            let program = ["switchbook-verify".as_ref()];
            let key = ["--key".as_ref(), sealed.key.as_ref()];
            let line = program.iter().chain(line).chain(&key);
            match switchbook_verify::run(line.copied()) {
                0 => Ok(()),
                code => Err(Failure::new(format!("switchbook-verify ended with {code}"))),
            }
        };
        output::line(&format!("switchbook-verify bundle {} --key …", bundle.display()));
        verify(&["bundle".as_ref(), bundle.as_os_str()])?;
        output::line(&format!("switchbook-verify book {} --checkpoint … --key …", away.display()));
        let held = [away.as_os_str(), "--checkpoint".as_ref(), checkpoint.as_os_str()];
        verify(&["book".as_ref(), held[0], held[1], held[2]])
    }

    async fn ask(&self, question: &Question) -> Result<(), Failure> {
        let readers = &self.house.rooms.readers;
        // The call's last events may still be on their way to the tables.
        let _ = readers.wait_for(self.position()).await;
        let open = readers.opener();
        let value = answer(readers.book().as_ref(), open, question, self.language).await?;
        output::answer(&value)
    }
}

/// What a person types into two phones of his own.
async fn what_to_type(folder: &Path, house: &House) -> Result<(), Failure> {
    let stage = Stage { house, language: Language::English, server: house.sip };
    output::heading("Now with your own phones");
    let host = match house.sip.ip() {
        ip if ip.is_unspecified() => {
            local_ip().map_or_else(|| "this machine's address".into(), |ip| ip.to_string())
        }
        bound => bound.to_string(),
    };
    for (user, number, phone) in [("guest1", "401", "phone1"), ("guest2", "402", "phone2")] {
        // The last twelve digits of it are random.
        let random = uuid::Uuid::now_v7().simple().to_string();
        let password = random.get(20..).unwrap_or(&random).to_owned();
        let device = json!({ "name": phone, "type": "desk", "password": password });
        stage
            .tell(json!({ "command": "user.add", "username": user, "display_name": user,
            "numbers": [number], "devices": [device] }))
            .await?;
        output::line(&format!(
            "  server {host}:{}  domain {REALM}  user {phone}  password {password}  number {number}",
            house.sip.port()
        ));
    }
    output::line("Dial 402 from phone1 and 401 from phone2; *78 and *79 switch do-not-disturb.");
    if let Some(http) = house.http {
        output::line(&format!("Health: http://{http}/health   Metrics: http://{http}/metrics"));
    }
    output::line(&format!("Look around: switchbook --data {} user list", folder.display()));
    output::line("Serving until Ctrl-C.");
    Ok(())
}

/// The address other machines see, as far as this one knows: asked of the routing table, nothing is sent.
fn local_ip() -> Option<IpAddr> {
    let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}
