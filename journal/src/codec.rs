//! Payload codecs. Only payloads go through a codec: envelope and frame are laid out by hand in
//! [`record`](crate::record) and [`frame`](crate::frame), so that the book can be read without any of these.

use serde::Serialize;
use serde::de::DeserializeOwned;
use switchbook_core::event::{DecodeError, Event, PayloadDecoder, PayloadEncoder};

/// How a payload is written. The number stands in every record and is never reused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum Codec {
    /// Codec 1: bincode 2 with variable-length integers, little-endian; docs/journal-format.md tells its rules.
    #[default]
    Bincode = 1,
    /// Codec 2: JSON in UTF-8, kept as the way out should bincode ever have to go.
    Json = 2,
}

impl Codec {
    /// The number in the record.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The codec of this number.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Bincode),
            2 => Some(Self::Json),
            _ => None,
        }
    }

    /// Appends an event's payload.
    ///
    /// # Errors
    /// When the codec cannot express the event.
    pub fn encode(self, event: &Event, out: &mut Vec<u8>) -> Result<(), CodecError> {
        event.encode(&self, out)
    }

    /// Reads a payload; old versions are upcast.
    ///
    /// # Errors
    /// When tag and version are not known, or the bytes are not such an event.
    pub fn decode(
        self,
        tag: u16,
        version: u8,
        payload: &[u8],
    ) -> Result<Event, DecodeError<CodecError>> {
        Event::decode(tag, version, payload, &self)
    }
}

/// What a codec reports.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct CodecError(String);

/// No length inside a payload may ask for more than this: garbage must not make the reader allocate.
const LIMIT: usize = crate::frame::MAX_BODY;

/// Every setting by name, so that no new default of a library can change the book.
fn bincode_config() -> bincode::config::Configuration<
    bincode::config::LittleEndian,
    bincode::config::Varint,
    bincode::config::Limit<LIMIT>,
> {
    bincode::config::standard().with_little_endian().with_variable_int_encoding().with_limit()
}

impl PayloadEncoder for Codec {
    type Error = CodecError;

    fn encode<T: Serialize>(&self, event: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        match self {
            Self::Bincode => bincode::serde::encode_into_std_write(event, out, bincode_config())
                .map(|_| ())
                .map_err(|error| CodecError(error.to_string())),
            Self::Json => serde_json::to_writer(out, event).map_err(|e| CodecError(e.to_string())),
        }
    }
}

impl PayloadDecoder for Codec {
    type Error = CodecError;

    fn decode<T: DeserializeOwned>(&self, payload: &[u8]) -> Result<T, CodecError> {
        match self {
            Self::Bincode => {
                let (event, read) = bincode::serde::decode_from_slice(payload, bincode_config())
                    .map_err(|error| CodecError(error.to_string()))?;
                if read != payload.len() {
                    return Err(CodecError(format!("{} bytes too many", payload.len() - read)));
                }
                Ok(event)
            }
            Self::Json => {
                serde_json::from_slice(payload).map_err(|error| CodecError(error.to_string()))
            }
        }
    }
}
