//! Redriving and purging dead letters through the broker's control API, which has its own port and its own token.

use std::time::Duration;

use http::{
    HeaderValue, Method, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use restante_wire::{
    control::{Purge, Purged, Redrive, Redriven},
    control_token::control_token,
    header, path,
};
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

use crate::{
    client::{Call, Client},
    error::RequestError,
    options::{ClientOptions, OptionsError},
    text::quoted,
};

/// Client of one broker's control API. It names channels by UID; [`Client::channel`] returns the UID of a channel.
#[derive(Debug, Clone)]
pub struct Control {
    client: Client,
    authorization: HeaderValue,
}

impl Control {
    /// Checks the options and the control token. `options.broker` is the control port's URL. Opens no connection yet.
    pub fn new(options: ClientOptions, token: &str) -> Result<Self, OptionsError> {
        let token = control_token(token.as_bytes()).map_err(OptionsError::ControlToken)?;
        let mut authorization =
            HeaderValue::from_str(&format!("Bearer {token}")).expect("a token has only visible characters");
        authorization.set_sensitive(true);
        Ok(Self { client: Client::new(options)?, authorization })
    }

    /// Redrives dead letters, oldest first: they become ready with a delivery count of zero, in the channel they came
    /// from or in another. Retries until `within` has passed, under one idempotency key, so that no dead letter is
    /// moved twice.
    pub async fn redrive(
        &self,
        channel: Uuid,
        redrive: &Redrive,
        within: Duration,
    ) -> Result<Redriven, RequestError> {
        self.change(channel, "redrive", redrive, within).await
    }

    /// Purges messages: deletes them permanently. Leased messages are never purged. Retries until `within` has passed,
    /// under one idempotency key, so that a repeat does not purge messages that arrived in between.
    pub async fn purge(
        &self,
        channel: Uuid,
        purge: &Purge,
        within: Duration,
    ) -> Result<Purged, RequestError> {
        self.change(channel, "purge", purge, within).await
    }

    async fn change<T: DeserializeOwned>(
        &self,
        channel: Uuid,
        verb: &str,
        body: &impl Serialize,
        within: Duration,
    ) -> Result<T, RequestError> {
        let body = serde_json::to_vec(body).expect("a redrive or purge has only JSON types");
        let key = quoted(&Uuid::new_v4().to_string());
        let target = format!("{}{channel}/{verb}", path::CONTROL_CHANNELS);
        self.client
            .answered(within, || async {
                let mut call = Call { body: body.clone().into(), ..Call::new(Method::POST, target.clone()) };
                call.headers.insert(AUTHORIZATION, self.authorization.clone());
                call.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                call.headers.insert(header::IDEMPOTENCY_KEY, key.clone());
                let answer = self.client.call(call).await?;
                if answer.status != StatusCode::OK {
                    return Err(answer.refused());
                }
                answer.json("a result of the control API")
            })
            .await
    }
}
