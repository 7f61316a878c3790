//! The part of the JetStream API that is used, as JSON.
//!
//! It is spoken directly: the answers must be told apart more finely than the library does (what was certainly not
//! done), settings that an older server ignores must be seen when they are read back, and the consumer must not do
//! anything by itself.

use super::connection::{Connection, RequestError};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// What the server calls an error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct ApiError {
    pub(super) code: u16,
    pub(super) err_code: u16,
    pub(super) description: String,
}

impl ApiError {
    pub(super) const NOT_FOUND: u16 = 10059;
    pub(super) const NAME_IN_USE: u16 = 10058;
    /// What passes by itself though its code blames who asks: there are too few servers yet, or one has not heard of
    /// the stream yet.
    pub(super) const PASSING: [u16; 2] = [10005, Self::NOT_FOUND];
    pub(super) const NOT_ENABLED: [u16; 2] = [10076, 10039];
    pub(super) const WRONG_LAST: [u16; 2] = [10071, 10164];
    /// There is no room: in the server, the account or the stream.
    pub(super) const FULL: [u16; 4] = [10023, 10047, 10028, 10002];
    /// The leader cannot look at the last message of a subject yet.
    pub(super) const NOT_YET: u16 = 10163;
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.description, self.err_code)
    }
}

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CallError {
    Wire(RequestError),
    Refused(ApiError),
    /// The answer is none.
    Garbled(String),
}

impl std::fmt::Display for CallError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Wire(trouble) => trouble.fmt(f),
            Self::Refused(error) => error.fmt(f),
            Self::Garbled(why) => write!(f, "the server's answer makes no sense: {why}"),
        }
    }
}

impl From<RequestError> for CallError {
    fn from(trouble: RequestError) -> Self {
        Self::Wire(trouble)
    }
}

/// The answer to a message that was published to a stream.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Ack {
    pub(super) seq: u64,
    pub(super) error: Option<ApiError>,
}

/// A stream's settings; those that the server leaves out are as `Default` says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct StreamConfig {
    pub(super) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<String>,
    pub(super) subjects: Vec<String>,
    pub(super) retention: String,
    pub(super) storage: String,
    pub(super) discard: String,
    pub(super) num_replicas: u8,
    pub(super) max_msgs: i64,
    pub(super) max_bytes: i64,
    pub(super) max_age: u64,
    pub(super) max_msg_size: i64,
    pub(super) max_msgs_per_subject: i64,
    pub(super) discard_new_per_subject: bool,
    pub(super) allow_direct: bool,
    pub(super) mirror_direct: bool,
    pub(super) allow_rollup_hdrs: bool,
    pub(super) deny_delete: bool,
    pub(super) deny_purge: bool,
    pub(super) sealed: bool,
    pub(super) no_ack: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mirror: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sources: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) subject_transform: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) persist_mode: Option<String>,
}

impl Default for StreamConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            description: None,
            subjects: Vec::new(),
            retention: "limits".into(),
            storage: "file".into(),
            discard: "old".into(),
            num_replicas: 1,
            max_msgs: -1,
            max_bytes: -1,
            max_age: 0,
            max_msg_size: -1,
            max_msgs_per_subject: -1,
            discard_new_per_subject: false,
            allow_direct: false,
            mirror_direct: false,
            allow_rollup_hdrs: false,
            deny_delete: false,
            deny_purge: false,
            sealed: false,
            no_ack: false,
            mirror: None,
            sources: None,
            subject_transform: None,
            persist_mode: None,
        }
    }
}

/// What the server says of a stream.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct StreamInfo {
    pub(super) config: StreamConfig,
    /// When it was made, as text.
    pub(super) created: String,
    pub(super) cluster: Option<Cluster>,
}

/// Who keeps a stream.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Cluster {
    pub(super) leader: Option<String>,
    pub(super) replicas: Vec<Peer>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Peer {
    pub(super) name: String,
    pub(super) current: bool,
    pub(super) offline: bool,
}

impl Cluster {
    /// The names of the servers that keep the stream.
    pub(super) fn servers(&self) -> impl Iterator<Item = &str> {
        self.leader
            .iter()
            .map(String::as_str)
            .chain(self.replicas.iter().map(|peer| peer.name.as_str()))
    }
}

/// A consumer that pushes the messages of a stream, once each and in order.
#[derive(Debug, Serialize)]
pub(super) struct ConsumerConfig {
    pub(super) deliver_subject: String,
    pub(super) deliver_policy: &'static str,
    pub(super) ack_policy: &'static str,
    pub(super) replay_policy: &'static str,
    pub(super) max_deliver: i64,
    pub(super) flow_control: bool,
    /// In nanoseconds.
    pub(super) idle_heartbeat: u64,
    pub(super) mem_storage: bool,
    pub(super) num_replicas: u8,
}

#[derive(Debug, Serialize)]
struct NewConsumer<'a> {
    stream_name: &'a str,
    config: &'a ConsumerConfig,
}

#[derive(Debug, Serialize)]
struct DeleteMessage {
    seq: u64,
    no_erase: bool,
}

#[derive(Serialize, Deserialize)]
struct Nothing {}

#[derive(Deserialize)]
struct Complaint {
    error: Option<ApiError>,
}

impl Connection {
    pub(super) async fn stream_info(&self, stream: &str) -> Result<StreamInfo, CallError> {
        let answer = self
            .request_again(&format!("$JS.API.STREAM.INFO.{stream}"), Bytes::new())
            .await?;
        parse(&answer.payload)
    }

    pub(super) async fn create_stream(&self, config: &StreamConfig) -> Result<StreamInfo, CallError> {
        let config_json = serde_json::to_vec(config).map_err(garbled)?;
        let answer = self
            .request_again(&format!("$JS.API.STREAM.CREATE.{}", config.name), config_json.into())
            .await?;
        parse(&answer.payload)
    }

    pub(super) async fn delete_stream(&self, stream: &str) -> Result<(), CallError> {
        let Nothing {} = self
            .call(&format!("$JS.API.STREAM.DELETE.{stream}"), &Nothing {})
            .await?;
        Ok(())
    }

    /// Removes one message of a stream, for good.
    pub(super) async fn delete_message(&self, stream: &str, seq: u64) -> Result<(), CallError> {
        let request = DeleteMessage { seq, no_erase: true };
        let Nothing {} = self
            .call(&format!("$JS.API.STREAM.MSG.DELETE.{stream}"), &request)
            .await?;
        Ok(())
    }

    /// Makes a consumer that the server removes soon after nobody listens to it any more.
    pub(super) async fn create_consumer(&self, stream: &str, config: &ConsumerConfig) -> Result<(), CallError> {
        let request = NewConsumer {
            stream_name: stream,
            config,
        };
        let Nothing {} = self
            .call(&format!("$JS.API.CONSUMER.CREATE.{stream}"), &request)
            .await?;
        Ok(())
    }

    async fn call<T: DeserializeOwned>(&self, subject: &str, request: &impl Serialize) -> Result<T, CallError> {
        let request = serde_json::to_vec(request).map_err(garbled)?;
        parse(&self.request(subject, None, request.into()).await?.payload)
    }
}

fn garbled(error: serde_json::Error) -> CallError {
    CallError::Garbled(error.to_string())
}

pub(super) fn parse<T: DeserializeOwned>(answer: &[u8]) -> Result<T, CallError> {
    match serde_json::from_slice::<Complaint>(answer).map_err(garbled)?.error {
        Some(error) => Err(CallError::Refused(error)),
        None => serde_json::from_slice(answer).map_err(garbled),
    }
}
