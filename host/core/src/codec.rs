//! Stored values as bytes: a format byte, then postcard; plans are compressed (LZ4 block with its length in front).
//!
//! The format byte lets a later version recognise what it cannot read instead of misreading it.

use crate::plan::PlanPart;
use crate::store::StoreError;
use crate::values::{Key, Value};
use serde::{Serialize, de::DeserializeOwned};
use std::sync::Arc;

/// The format that this version writes, and the only one it reads.
pub const FORMAT: u8 = 1;

/// The largest stored value: plans stay below it by their limit of shards, everything else is small.
pub const MAX_VALUE: usize = 256 * 1024;

/// Why stored bytes are no value of their key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Written by another version of this software.
    #[error("{key} is stored in format {found}, this version reads format {FORMAT}: run the same version on all nodes")]
    Format {
        /// The key.
        key: String,
        /// The format byte found.
        found: u8,
    },
    /// Not what the key calls for.
    #[error("the value of {key} is malformed: {reason}")]
    Malformed {
        /// The key.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// Would exceed [`MAX_VALUE`].
    #[error("the value of {key} has {size} bytes, more than {MAX_VALUE}: use fewer replicas or nodes for this role")]
    TooLarge {
        /// The key.
        key: String,
        /// Its size in bytes.
        size: usize,
    },
}

impl<V> From<CodecError> for StoreError<V> {
    fn from(e: CodecError) -> Self {
        match e {
            CodecError::TooLarge { size, .. } => Self::TooLarge { size, limit: MAX_VALUE },
            e => Self::Invalid(e.to_string()),
        }
    }
}

/// The bytes to store for `value` under `key`.
///
/// # Errors
/// [`CodecError::TooLarge`].
pub fn encode(key: &Key, value: &Value) -> Result<Vec<u8>, CodecError> {
    let bytes = match value {
        Value::Meta(v) => plain(v),
        Value::Host(v) => plain(v),
        Value::Id(v) => plain(v),
        Value::Node(v) => plain(v.as_ref()),
        Value::Settings(v) => plain(v.as_ref()),
        Value::Session(v) => plain(v),
        Value::Leader(v) => plain(v),
        Value::Policies(v) => plain(v),
        Value::Plan(v) => plain(v.as_ref()).map(|body| {
            let mut bytes = vec![FORMAT];
            bytes.extend(lz4_flex::compress_prepend_size(&body[1..]));
            bytes
        }),
    }
    .map_err(|e| malformed(key, &e.to_string()))?;
    if bytes.len() > MAX_VALUE {
        return Err(CodecError::TooLarge {
            key: key.to_string(),
            size: bytes.len(),
        });
    }
    Ok(bytes)
}

/// The value that `bytes` hold under `key`.
///
/// # Errors
/// [`CodecError::Format`] or [`CodecError::Malformed`].
pub fn decode(key: &Key, bytes: &[u8]) -> Result<Value, CodecError> {
    let (&format, body) = bytes.split_first().ok_or_else(|| malformed(key, "it is empty"))?;
    if format != FORMAT {
        return Err(CodecError::Format {
            key: key.to_string(),
            found: format,
        });
    }
    Ok(match key {
        Key::Meta => Value::Meta(read(key, body)?),
        Key::Host(_) => Value::Host(read(key, body)?),
        Key::Id(_) => Value::Id(read(key, body)?),
        Key::Node(_) => Value::Node(Arc::new(read(key, body)?)),
        Key::Settings(_) => Value::Settings(Arc::new(read(key, body)?)),
        Key::Session(_) => Value::Session(read(key, body)?),
        Key::Leader => Value::Leader(read(key, body)?),
        Key::Policies => Value::Policies(read(key, body)?),
        Key::Plan { .. } => {
            let (size, packed) =
                lz4_flex::block::uncompressed_size(body).map_err(|e| malformed(key, &e.to_string()))?;
            if size > 64 * MAX_VALUE {
                return Err(malformed(key, "it claims to be larger than any plan"));
            }
            let body = lz4_flex::decompress(packed, size).map_err(|e| malformed(key, &e.to_string()))?;
            let part: PlanPart = read(key, &body)?;
            if !part.is_well_formed() {
                return Err(malformed(key, "its lists do not fit together"));
            }
            Value::Plan(Arc::new(part))
        }
    })
}

fn plain<T: Serialize>(value: &T) -> Result<Vec<u8>, postcard::Error> {
    postcard::to_extend(value, vec![FORMAT])
}

fn read<T: DeserializeOwned>(key: &Key, body: &[u8]) -> Result<T, CodecError> {
    match postcard::take_from_bytes(body) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(malformed(key, &format!("{} bytes follow its end", rest.len()))),
        Err(e) => Err(malformed(key, &e.to_string())),
    }
}

fn malformed(key: &Key, reason: &str) -> CodecError {
    CodecError::Malformed {
        key: key.to_string(),
        reason: reason.to_owned(),
    }
}
