//! A full channel that must stay full whatever happens to the release: a lost message would make room for another.

use std::{net::SocketAddrV4, time::Duration};

use anyhow::{Context, Result, ensure};
use reqwest::{Client, Response, StatusCode};
use restante_tests::{in_namespace, wait};

use super::release::{Release, SOON};

/// Limit of messages of the channel.
pub(crate) const FULL: usize = 50;

/// A channel with a limit of [`FULL`] messages.
pub(crate) struct Channel<'a> {
    release: &'a Release,
    /// The name of the MessageBroker.
    broker: &'a str,
    namespace: &'a str,
    name: &'a str,
}

impl<'a> Channel<'a> {
    /// Creates a channel with this `brokerRef`, waits until it is Ready, and fills it.
    pub(crate) fn full(
        release: &'a Release,
        broker: &'a str,
        (namespace, name): (&'a str, &'a str),
        broker_ref: &str,
    ) -> Result<Self> {
        release.kubectl().apply(&format!(
            "apiVersion: restante.dev/v1alpha1\nkind: MessageChannel\n\
             metadata: {{name: {name}, namespace: {namespace}}}\n\
             spec:\n  access: {{anonymous: true}}\n  limits: {{messages: {FULL}}}\n  brokerRef: {broker_ref}\n"
        ))?;
        let channel = Self { release, broker, namespace, name };
        channel.becomes_ready()?;
        let posts = channel.at_the_broker(|http, url| async move {
            for number in 0..FULL {
                let answer = post(&http, &url, number.to_string()).await?;
                ensure!(answer.status() == StatusCode::CREATED, "message {number} got {}", answer.status());
            }
            Ok(())
        });
        posts?;
        channel.is_full()?;
        Ok(channel)
    }

    /// Waits with `kubectl wait` until the channel is Ready.
    pub(crate) fn becomes_ready(&self) -> Result<()> {
        let channel = format!("messagechannel/{}", self.name);
        self.release.kubectl().wait_for("condition=Ready", SOON, &["-n", self.namespace, &channel])
    }

    /// Checks that the broker answers at once, and that the channel is full.
    pub(crate) fn is_full(&self) -> Result<()> {
        self.at_the_broker(|http, url| async move {
            let answer = post(&http, &url, "one too many".to_owned()).await?;
            let status = answer.status();
            ensure!(status == StatusCode::TOO_MANY_REQUESTS, "a push got {status}: {}", answer.text().await?);
            Ok(())
        })
    }

    /// Waits until the broker answers that the channel is full: Kubernetes sends traffic to a pod a moment after it is
    /// ready.
    pub(crate) fn becomes_full(&self) -> Result<()> {
        wait::until("the broker to answer that the channel is full", SOON, || self.is_full())
    }

    /// Receives all messages, and checks that each is delivered once, in order.
    pub(crate) fn delivers_all_messages(&self) -> Result<()> {
        self.at_the_broker(|http, url| async move {
            for number in 0..FULL {
                let answer = http.get(format!("{url}?wait=0")).send().await?;
                let status = answer.status();
                ensure!(status == StatusCode::OK, "the pull of message {number} got {status}");
                let lease = answer.headers().get("location").context("no lease")?.to_str()?.to_owned();
                let body = answer.text().await?;
                ensure!(body == number.to_string(), "the pull of message {number} got {body:?}");
                let lease = reqwest::Url::parse(&url)?.join(&lease)?;
                http.delete(lease).send().await?.error_for_status()?;
            }
            let answer = http.get(format!("{url}?wait=0")).send().await?;
            ensure!(
                answer.status() == StatusCode::NO_CONTENT,
                "after the last message, a pull got {}",
                answer.status()
            );
            Ok(())
        })
    }

    fn at_the_broker<F, W>(&self, work: W) -> Result<()>
    where
        W: FnOnce(Client, String) -> F + Send + 'static,
        F: Future<Output = Result<()>>,
    {
        let service = self.release.get("service", &format!("restante-{}", self.broker))?;
        let address = service["spec"]["clusterIP"].as_str().context("the Service has no address")?;
        let broker = SocketAddrV4::new(address.parse()?, 8080);
        let url = format!("http://{broker}/v1/messages/{}/{}", self.namespace, self.name);
        in_namespace::run(&self.release.cluster.network_namespace, move || async move {
            // reqwest needs a TLS provider although this client does not use TLS. The call fails if it is installed
            // already.
            let _ = rustls::crypto::ring::default_provider().install_default();
            let http = Client::builder().no_proxy().timeout(Duration::from_secs(30)).build()?;
            work(http, url).await
        })?
    }
}

/// Pushes a message. Retries until the connection succeeds, because kube-proxy routes to a ready pod a moment later. A
/// request without a connection was not sent.
async fn post(http: &Client, url: &str, body: String) -> Result<Response> {
    let sent = wait::until_async("a connection to the broker", SOON, || async {
        match http.post(url).header("content-type", "text/plain").body(body.clone()).send().await {
            Err(error) if error.is_connect() => Err(error),
            sent => Ok(sent),
        }
    });
    sent.await?.context("a push got no answer")
}
