//! Statistics of one channel.

use std::time::Duration;

use http::{Method, StatusCode};
use restante_wire::{ChannelStats, path};

use crate::{
    client::{Call, Client},
    error::RequestError,
};

impl Client {
    /// Current statistics of the channel `namespace/name`. Retries until `within` has passed.
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
            answer.json("a channel's statistics")
        })
        .await
    }
}
