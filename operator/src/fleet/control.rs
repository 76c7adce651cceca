//! Client of a broker pod's control API.

use std::{net::IpAddr, sync::Arc, time::Duration};

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use restante_wire::{
    ChannelConfig, ChannelStats, ProblemType,
    control::{ChannelDeleted, ControlProblem, StoreState},
    path,
};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::names::CONTROL_PORT;

/// A pod that does not accept a connection within two seconds counts as unreachable.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Enough for one fdatasync of a slow disk, and some milliseconds.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// A million channels are half a gigabyte of JSON.
const SYNC_TIMEOUT: Duration = Duration::from_secs(120);

/// Why a request to a pod failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// No connection, no answer in time, or an incomplete answer.
    #[error("the broker pod does not answer: {0}")]
    Unreachable(String),
    /// The broker refused the request.
    #[error("{}", .0.problem)]
    Refused(ControlProblem),
    /// The answer does not come from a broker's control API.
    #[error("unexpected answer of the broker pod: {0}")]
    Unexpected(String),
}

impl ControlError {
    /// The type of the broker's problem, if it is a known one.
    pub fn problem_type(&self) -> Option<ProblemType> {
        match self {
            Self::Refused(refusal) => refusal.problem.problem_type(),
            Self::Unreachable(_) | Self::Unexpected(_) => None,
        }
    }
}

impl From<reqwest::Error> for ControlError {
    fn from(error: reqwest::Error) -> Self {
        // The outer message is only "error sending request". The innermost error is the cause.
        let mut cause: &dyn std::error::Error = &error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        Self::Unreachable(cause.to_string())
    }
}

/// The HTTP client for all pods.
pub fn http_client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        // Pods are called by their address. A proxy for outgoing requests must not see the credential.
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(REQUEST_TIMEOUT)
        .build()
}

/// The control API of one pod.
#[derive(Debug, Clone)]
pub struct Control {
    http: reqwest::Client,
    base: String,
    token: String,
}

impl Control {
    pub fn new(http: reqwest::Client, address: IpAddr, token: String) -> Self {
        let base = match address {
            IpAddr::V4(address) => format!("http://{address}:{CONTROL_PORT}"),
            IpAddr::V6(address) => format!("http://[{address}]:{CONTROL_PORT}"),
        };
        Self { http, base, token }
    }

    /// The state of the address store.
    pub async fn revision(&self) -> Result<StoreState, ControlError> {
        read(self.request(Method::GET, path::CONTROL_REVISION).send().await?).await
    }

    /// Replaces the complete set of channels.
    pub async fn sync(&self, channels: &[Arc<ChannelConfig>]) -> Result<StoreState, ControlError> {
        let mut body = Vec::new();
        for channel in channels {
            serde_json::to_writer(&mut body, channel.as_ref()).map_err(|error| {
                ControlError::Unexpected(format!(
                    "none, because a channel cannot be written as JSON: {error}"
                ))
            })?;
            body.push(b'\n');
        }
        let request = self.request(Method::POST, path::CONTROL_SYNC).timeout(SYNC_TIMEOUT);
        read(request.header("content-type", "application/x-ndjson").body(body).send().await?).await
    }

    /// Adds or changes one channel.
    pub async fn put(&self, channel: &ChannelConfig) -> Result<StoreState, ControlError> {
        read(self.channel(Method::PUT, channel.uid, "").json(channel).send().await?).await
    }

    /// Deletes one channel permanently; without `force`, only if it is empty.
    pub async fn delete(&self, uid: Uuid, force: bool) -> Result<ChannelDeleted, ControlError> {
        let query = if force { "?force=true" } else { "" };
        read(self.channel(Method::DELETE, uid, query).send().await?).await
    }

    /// The counts of one channel.
    pub async fn channel_stats(&self, uid: Uuid) -> Result<ChannelStats, ControlError> {
        read(self.channel(Method::GET, uid, "/stats").send().await?).await
    }

    /// The counts of every channel.
    pub async fn stats(&self) -> Result<Vec<ChannelStats>, ControlError> {
        let request = self.request(Method::GET, path::CONTROL_STATS).timeout(SYNC_TIMEOUT);
        let body = body(request.send().await?).await?;
        body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(parse).collect()
    }

    fn channel(&self, method: Method, uid: Uuid, rest: &str) -> RequestBuilder {
        self.request(method, &format!("{}{uid}{rest}", path::CONTROL_CHANNELS))
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token)
    }
}

async fn read<T: DeserializeOwned>(response: Response) -> Result<T, ControlError> {
    parse(&body(response).await?)
}

async fn body(response: Response) -> Result<Vec<u8>, ControlError> {
    let status = response.status();
    let body = response.bytes().await?.to_vec();
    match status {
        StatusCode::OK | StatusCode::CREATED => Ok(body),
        _ => Err(match serde_json::from_slice(&body) {
            Ok(problem) => ControlError::Refused(problem),
            Err(_) => ControlError::Unexpected(status.to_string()),
        }),
    }
}

fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T, ControlError> {
    serde_json::from_slice(json).map_err(|error| ControlError::Unexpected(format!("invalid body: {error}")))
}
