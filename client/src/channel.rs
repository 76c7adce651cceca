//! A channel's counts, as the broker tells them.

use std::time::Duration;

use http::{Method, StatusCode};
use restante_wire::{ChannelStats, path};
use tokio::time::Instant;

use crate::{
    client::{Call, Client},
    error::RequestError,
    retry::{GaveUp, until_answered},
};

impl Client {
    /// The counts of the channel `namespace/name` at this moment. Tries for as long as `within`.
    pub async fn channel(
        &self,
        namespace: &str,
        name: &str,
        within: Duration,
    ) -> Result<ChannelStats, RequestError> {
        let target = format!("{}{namespace}/{name}", path::CHANNELS);
        let once = || async {
            let answer = self.call(Call::new(Method::GET, target.clone())).await?;
            if answer.status != StatusCode::OK {
                return Err(answer.refused());
            }
            serde_json::from_slice(&answer.body)
                .map_err(|error| answer.foreign(format!("its body is not a channel's counts: {error}")))
        };
        let deadline = Some(Instant::now() + within);
        until_answered(self.retry(), deadline, |_, _| {}, once).await.map_err(|gave_up| match gave_up {
            GaveUp::Final(error) | GaveUp::Deadline { last: Some(error) } => error,
            GaveUp::Deadline { last: None } => RequestError::Silent { url: target.clone(), within },
        })
    }
}
