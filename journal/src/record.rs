//! The body of a record: envelope and payload, laid out by hand, little-endian (docs/journal-format.md).

use crate::bytes::Reader;
use crate::codec::Codec;
use crate::frame::MAX_BODY;
use switchbook_core::envelope::{Actor, Envelope, Recorded, Subject};
use switchbook_core::id::{CommandId, CorrelationId, DeviceId, ScheduleId, UserId};
use switchbook_core::personal::{KeyId, Personal, ShowsPersonal};
use switchbook_core::position::{Moment, Position};

/// Bit 0 of the flags: the last record of its commit.
pub(crate) const LAST_OF_COMMIT: u8 = 1;
const ON_BEHALF_OF: u8 = 2;
const CAUSE: u8 = 4;
const CORRELATION: u8 = 8;
const SOURCE: u8 = 16;
const KNOWN_FLAGS: u8 = LAST_OF_COMMIT | ON_BEHALF_OF | CAUSE | CORRELATION | SOURCE;

/// A decoded record: the event in its envelope, and what only the book knows of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decoded {
    /// The event as everybody sees it; personal fields are not opened yet.
    pub recorded: Recorded,
    /// It is the last of its commit.
    pub last_of_commit: bool,
    /// The last position known to be durable when this was written.
    pub durable: Position,
}

/// Why a body could not be written.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EncodeError {
    /// The codec refused.
    #[error("the payload cannot be encoded: {0}")]
    Payload(String),
    /// More than a record holds.
    #[error("it would have {0} bytes, and a record has at most {MAX_BODY}")]
    TooLong(usize),
    /// More bytes in the sealed source than its length can say.
    #[error("the sealed address it came from has {0} bytes, and a record has room for 255")]
    SourceTooLong(usize),
    /// More subjects than the count can say.
    #[error("it concerns {0} objects, and a record names at most 65,535")]
    TooManySubjects(usize),
}

/// Why bytes are not a record this version can read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RecordError {
    /// Too few bytes for what they announce.
    #[error("the body ends in the middle of its {0}")]
    Short(&'static str),
    /// Something a newer version may know.
    #[error(
        "{what} {number} is not known to this version of Switchbook: the book was written by a newer one; use that, or a newer one still"
    )]
    Unknown {
        /// What.
        what: &'static str,
        /// Its number.
        number: u8,
    },
    /// The payload does not decode.
    #[error("{0}")]
    Payload(String),
}

/// Appends the body of a record.
///
/// # Errors
/// When the event does not fit a record.
pub fn encode_record(
    recorded: &Recorded,
    last_of_commit: bool,
    durable: Position,
    codec: Codec,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let start = out.len();
    let Recorded { envelope, event } = recorded;
    let subjects = u16::try_from(envelope.subjects.len())
        .map_err(|_| EncodeError::TooManySubjects(envelope.subjects.len()))?;
    let threaded = envelope.correlation.bytes() != envelope.command.bytes();
    let flags = [
        (last_of_commit, LAST_OF_COMMIT),
        (envelope.on_behalf_of.is_some(), ON_BEHALF_OF),
        (envelope.cause.is_some(), CAUSE),
        (threaded, CORRELATION),
        (envelope.source.is_some(), SOURCE),
    ];
    let flags = flags.iter().filter(|(set, _)| *set).fold(0, |flags, (_, bit)| flags | bit);
    out.extend(envelope.position.0.to_le_bytes());
    out.extend(envelope.recorded_at.0.to_le_bytes());
    out.extend(envelope.moment.0.to_le_bytes());
    out.extend(durable.0.to_le_bytes());
    out.extend(event.tag().to_le_bytes());
    out.extend([event.version(), codec.number(), flags, actor_kind(&envelope.actor)]);
    out.extend(subjects.to_le_bytes());
    out.extend(envelope.command.bytes());
    match &envelope.actor {
        Actor::System => {}
        Actor::Supervisor { uid } => out.extend(uid.to_le_bytes()),
        Actor::Admin(id) | Actor::User(id) | Actor::Auditor(id) => out.extend(id.bytes()),
        Actor::Phone(id) => out.extend(id.bytes()),
        Actor::Schedule(id) => out.extend(id.bytes()),
    }
    if let Some(user) = &envelope.on_behalf_of {
        out.extend(user.bytes());
    }
    if let Some(cause) = envelope.cause {
        out.extend(cause.0.to_le_bytes());
    }
    if threaded {
        out.extend(envelope.correlation.bytes());
    }
    if let Some(source) = &envelope.source {
        push_source(source, out)?;
    }
    for subject in &envelope.subjects {
        push_subject(subject, out);
    }
    codec.encode(event, out).map_err(|error| EncodeError::Payload(error.to_string()))?;
    let length = out.len() - start;
    if length > MAX_BODY {
        return Err(EncodeError::TooLong(length));
    }
    Ok(())
}

/// Reads the body of a record. Never panics, whatever the bytes.
///
/// # Errors
/// When the bytes are not a record, or one of a newer version.
pub fn decode_record(body: &[u8]) -> Result<Decoded, RecordError> {
    Outline::read(body)?.decode()
}

/// Everything of a body but its payload, read without decoding that: enough to index and to recover.
pub(crate) struct Outline<'a> {
    pub(crate) position: Position,
    pub(crate) recorded_at: Moment,
    moment: Moment,
    pub(crate) durable: Position,
    tag: u16,
    version: u8,
    codec: u8,
    pub(crate) last_of_commit: bool,
    pub(crate) command: CommandId,
    pub(crate) actor: Actor,
    on_behalf_of: Option<UserId>,
    cause: Option<Position>,
    correlation: CorrelationId,
    source: Option<(KeyId, &'a [u8])>,
    subject_count: u16,
    rest: Reader<'a>,
}

/// A subject as it stands in the body.
pub(crate) struct RawSubject<'a> {
    pub(crate) kind: u8,
    pub(crate) bytes: &'a [u8],
}

impl<'a> Outline<'a> {
    pub(crate) fn read(body: &'a [u8]) -> Result<Self, RecordError> {
        let mut rest = Reader(body);
        let fixed = (|| {
            Some((
                (rest.u64()?, rest.i64()?, rest.i64()?, rest.u64()?),
                (rest.u16()?, rest.u8()?, rest.u8()?, rest.u8()?, rest.u8()?, rest.u16()?),
                rest.uuid()?,
            ))
        })();
        let (
            (position, recorded_at, moment, durable),
            (tag, version, codec, flags, actor, subject_count),
            command,
        ) = fixed.ok_or(RecordError::Short("fixed part"))?;
        if flags & !KNOWN_FLAGS != 0 {
            return Err(RecordError::Unknown { what: "flag set", number: flags });
        }
        let actor = read_actor(actor, &mut rest)?;
        let optional = |bit: u8| flags & bit != 0;
        let on_behalf_of = match optional(ON_BEHALF_OF) {
            true => Some(UserId(rest.uuid().ok_or(RecordError::Short("on-behalf-of"))?)),
            false => None,
        };
        let cause = match optional(CAUSE) {
            true => Some(Position(rest.u64().ok_or(RecordError::Short("cause"))?)),
            false => None,
        };
        let correlation = match optional(CORRELATION) {
            true => rest.uuid().ok_or(RecordError::Short("correlation"))?,
            false => command,
        };
        let source = match optional(SOURCE) {
            true => Some(read_source(&mut rest)?),
            false => None,
        };
        Ok(Self {
            position: Position(position),
            recorded_at: Moment(recorded_at),
            moment: Moment(moment),
            durable: Position(durable),
            tag,
            version,
            codec,
            last_of_commit: flags & LAST_OF_COMMIT != 0,
            command: CommandId(command),
            actor,
            on_behalf_of,
            cause,
            correlation: CorrelationId(correlation),
            source,
            subject_count,
            rest,
        })
    }

    /// The event's tag.
    pub(crate) const fn tag(&self) -> u16 {
        self.tag
    }

    /// Does it concern this subject? Reads the subjects, so that they are not there for the next one who asks.
    pub(crate) fn concerns(&mut self, subject: &Subject) -> bool {
        let (kind, bytes) = (subject.kind(), subject.bytes());
        while let Ok(Some(found)) = self.next_subject() {
            if found.kind == kind && found.bytes == bytes {
                return true;
            }
        }
        false
    }

    /// The whole record, with what only the book knows of it.
    pub(crate) fn decode(self) -> Result<Decoded, RecordError> {
        let (last_of_commit, durable) = (self.last_of_commit, self.durable);
        Ok(Decoded { recorded: self.recorded()?, last_of_commit, durable })
    }

    /// The event in its envelope.
    pub(crate) fn recorded(mut self) -> Result<Recorded, RecordError> {
        let mut subjects = Vec::with_capacity(usize::from(self.subject_count).min(64));
        while let Some(subject) = self.next_subject()? {
            let known = Subject::from_bytes(subject.kind, subject.bytes)
                .ok_or(RecordError::Unknown { what: "subject kind", number: subject.kind })?;
            subjects.push(known);
        }
        let codec = Codec::from_number(self.codec)
            .ok_or(RecordError::Unknown { what: "codec", number: self.codec })?;
        let event = codec
            .decode(self.tag, self.version, self.rest.0)
            .map_err(|error| RecordError::Payload(error.to_string()))?;
        let envelope = Envelope {
            position: self.position,
            recorded_at: self.recorded_at,
            moment: self.moment,
            actor: self.actor,
            on_behalf_of: self.on_behalf_of,
            source: self.source.map(|(key, sealed)| Personal::sealed_under(key, sealed)),
            cause: self.cause,
            correlation: self.correlation,
            command: self.command,
            subjects,
        };
        Ok(Recorded { envelope, event })
    }

    /// The next subject, in order; `None` behind the last, where the payload begins.
    pub(crate) fn next_subject(&mut self) -> Result<Option<RawSubject<'a>>, RecordError> {
        if self.subject_count == 0 {
            return Ok(None);
        }
        self.subject_count -= 1;
        let mut read = || {
            let (kind, length) = (self.rest.u8()?, self.rest.u8()?);
            Some(RawSubject { kind, bytes: self.rest.take(usize::from(length))? })
        };
        read().map(Some).ok_or(RecordError::Short("subjects"))
    }
}

/// Kind byte, length byte, identity: as a subject stands in bodies and under the hash of the postings.
pub(crate) fn push_subject(subject: &Subject, out: &mut Vec<u8>) {
    let bytes = subject.bytes();
    out.extend([subject.kind(), bytes.len() as u8]);
    out.extend(bytes);
}

/// Key id as in the vault, length byte, sealed bytes.
fn push_source(source: &Personal, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let sealed = source.sealed();
    let length =
        u8::try_from(sealed.len()).map_err(|_| EncodeError::SourceTooLong(sealed.len()))?;
    match source.key() {
        KeyId::Person(user) => {
            out.push(1);
            out.extend(user.bytes());
        }
        KeyId::Period(period) => {
            out.push(2);
            out.extend(period.to_le_bytes());
        }
    }
    out.push(length);
    out.extend(sealed);
    Ok(())
}

fn read_source<'a>(rest: &mut Reader<'a>) -> Result<(KeyId, &'a [u8]), RecordError> {
    let short = || RecordError::Short("source");
    let key = match rest.u8().ok_or_else(short)? {
        1 => KeyId::Person(UserId(rest.uuid().ok_or_else(short)?)),
        2 => KeyId::Period(rest.u32().ok_or_else(short)?),
        number => return Err(RecordError::Unknown { what: "key kind", number }),
    };
    let length = rest.u8().ok_or_else(short)?;
    Ok((key, rest.take(usize::from(length)).ok_or_else(short)?))
}

const fn actor_kind(actor: &Actor) -> u8 {
    match actor {
        Actor::System => 0,
        Actor::Supervisor { .. } => 1,
        Actor::Admin(_) => 2,
        Actor::User(_) => 3,
        Actor::Phone(_) => 4,
        Actor::Schedule(_) => 5,
        Actor::Auditor(_) => 6,
    }
}

fn read_actor(kind: u8, rest: &mut Reader<'_>) -> Result<Actor, RecordError> {
    let mut id = || rest.uuid().ok_or(RecordError::Short("actor"));
    Ok(match kind {
        0 => Actor::System,
        1 => Actor::Supervisor { uid: rest.u32().ok_or(RecordError::Short("actor"))? },
        2 => Actor::Admin(UserId(id()?)),
        3 => Actor::User(UserId(id()?)),
        4 => Actor::Phone(DeviceId(id()?)),
        5 => Actor::Schedule(ScheduleId(id()?)),
        6 => Actor::Auditor(UserId(id()?)),
        number => return Err(RecordError::Unknown { what: "actor kind", number }),
    })
}

/// Are commands of this actor remembered with their outcome? Phones, schedules and the server repeat theirs by
/// other means, and there are too many of them.
#[must_use]
pub const fn outcome_is_kept(actor: &Actor) -> bool {
    matches!(actor, Actor::Supervisor { .. } | Actor::Admin(_) | Actor::User(_) | Actor::Auditor(_))
}

/// Does an event hold a personal field without sealed bytes? Such a one must never reach the disk.
pub(crate) fn has_unsealed(recorded: &Recorded) -> bool {
    recorded.any_personal(&|field| field.sealed().is_empty())
}
