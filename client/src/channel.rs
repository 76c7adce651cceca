//! A channel's counts, as the broker tells them.

use std::time::Duration;

use http::{Method, StatusCode};
use restante_wire::{ChannelStats, path};

use crate::{
    client::{Call, Client},
    error::RequestError,
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
        self.answered(within, || async {
            let answer = self.call(Call::new(Method::GET, target.clone())).await?;
            if answer.status != StatusCode::OK {
                return Err(answer.refused());
            }
            answer.json("a channel's counts")
        })
        .await
    }
}
