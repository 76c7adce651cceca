//! A channel that is full, and stays full whatever is done to the release: a message that is lost makes room for another.

use std::{net::SocketAddrV4, time::Duration};

use anyhow::{Context, Result, ensure};
use reqwest::{Client, Response, StatusCode};
use restante_tests::{in_namespace, wait};

use super::release::{Release, SOON};

/// How many messages a full channel has.
pub(crate) const FULL: usize = 50;

/// A channel of a broker, with room for [`FULL`] messages.
pub(crate) struct Channel<'a> {
    release: &'a Release,
    /// The MessageBroker.
    broker: &'a str,
    namespace: &'a str,
    name: &'a str,
}

impl<'a> Channel<'a> {
    /// Applies it with this `brokerRef`, waits until it is Ready, and fills it.
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

    /// What `kubectl wait` says of it when it is Ready as its spec is now.
    pub(crate) fn becomes_ready(&self) -> Result<()> {
        let channel = format!("messagechannel/{}", self.name);
        self.release.kubectl().wait_for("condition=Ready", SOON, &["-n", self.namespace, &channel])
    }

    /// That the broker answers now, and has room for no message.
    pub(crate) fn is_full(&self) -> Result<()> {
        self.at_the_broker(|http, url| async move {
            let answer = post(&http, &url, "one too many".to_owned()).await?;
            let status = answer.status();
            ensure!(status == StatusCode::TOO_MANY_REQUESTS, "a push got {status}: {}", answer.text().await?);
            Ok(())
        })
    }

    /// The same, as soon as the broker answers: Kubernetes needs a moment to send traffic to a pod that has become ready.
    pub(crate) fn becomes_full(&self) -> Result<()> {
        wait::until("the broker to answer that the channel is full", SOON, || self.is_full())
    }

    /// That all messages come out, each once and in their order.
    pub(crate) fn delivers_all_messages(&self) -> Result<()> {
        self.at_the_broker(|http, url| async move {
            for number in 0..FULL {
                let answer = http.get(format!("{url}?wait=0")).send().await?;
                let status = answer.status();
                ensure!(status == StatusCode::OK, "where message {number} should be, a pull got {status}");
                let lease = answer.headers().get("location").context("no lease")?.to_str()?.to_owned();
                let body = answer.text().await?;
                ensure!(body == number.to_string(), "where message {number} should be, there is {body:?}");
                let lease = reqwest::Url::parse(&url)?.join(&lease)?;
                http.delete(lease).send().await?.error_for_status()?;
            }
            let answer = http.get(format!("{url}?wait=0")).send().await?;
            ensure!(answer.status() == StatusCode::NO_CONTENT, "after all, a pull got {}", answer.status());
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
            // For a client that speaks no TLS here, and asks for it all the same. The second call finds it done.
            let _ = rustls::crypto::ring::default_provider().install_default();
            let http = Client::builder().no_proxy().timeout(Duration::from_secs(30)).build()?;
            work(http, url).await
        })?
    }
}

/// A push, as soon as the broker is connected to: kube-proxy follows a pod that has become ready in its own time. What had
/// no connection was not sent.
async fn post(http: &Client, url: &str, body: String) -> Result<Response> {
    let sent = wait::until_async("the broker to be connected to", SOON, || async {
        match http.post(url).header("content-type", "text/plain").body(body.clone()).send().await {
            Err(error) if error.is_connect() => Err(error),
            sent => Ok(sent),
        }
    });
    sent.await?.context("a push got no answer")
}
