//! Connection to one broker. Every request of this crate goes through [`Client::call`].

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method};
use reqwest::{Proxy, Response, Url, redirect};
use tokio::time::{Instant, timeout};

use crate::{
    answer::{ANSWER_BYTES_MAX, Answer},
    error::RequestError,
    options::{ClientOptions, OptionsError, ProxyChoice},
    retry::{RetryFailure, RetryOptions, until_answered},
    tls,
};

/// Slowest supported uplink, in bytes per second: half a megabit per second. The largest message takes about four
/// minutes over it.
const UPLINK_BYTES_PER_SECOND_MIN: u64 = 64 * 1024;
/// How long an idle connection is kept. Brokers and proxies keep one for a minute or more; using one that the peer
/// already closed costs a try.
const IDLE_CONNECTION_MAX: Duration = Duration::from_secs(50);
/// Interval of TCP keepalive probes, so that a firewall does not drop a parked pull and a dead peer is detected.
const TCP_KEEPALIVE: Duration = Duration::from_secs(15);

/// Client of one broker: its URL, the proxy, the certificates and a pool of connections. Cheap to clone; clones share
/// the connections.
#[derive(Debug, Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    http: reqwest::Client,
    base: Url,
    answer_timeout: Duration,
    retry: RetryOptions,
}

#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// Path and query, relative to the base URL.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// How long the broker may hold the request before it answers.
    pub(crate) hold: Duration,
}

impl Call {
    /// A request without headers and body, which the broker answers at once.
    pub(crate) fn new(method: Method, path: String) -> Self {
        Self { method, path, headers: HeaderMap::new(), body: Bytes::new(), hold: Duration::ZERO }
    }
}

impl Client {
    /// Checks the options and makes a client. Opens no connection yet.
    pub fn new(options: ClientOptions) -> Result<Self, OptionsError> {
        let base = options.base()?;
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("restante/", env!("CARGO_PKG_VERSION")))
            .tls_backend_preconfigured(tls::config(&options.ca_certificates, base.scheme() == "https")?)
            .http1_only()
            // A redirected POST would become a GET. A broker that moved needs a new URL in its clients' settings.
            .redirect(redirect::Policy::none())
            .connect_timeout(options.connect_timeout)
            .pool_idle_timeout(IDLE_CONNECTION_MAX)
            .tcp_keepalive(TCP_KEEPALIVE)
            .tcp_nodelay(true);
        match &options.proxy {
            ProxyChoice::System => {}
            ProxyChoice::Direct => builder = builder.no_proxy(),
            ProxyChoice::Url(url) => {
                let proxy = Proxy::all(url)
                    .map_err(|error| OptionsError::Proxy(crate::error::chain(&error.without_url())))?;
                builder = builder.proxy(proxy);
            }
        }
        let http = builder.build().map_err(|error| OptionsError::Http(crate::error::chain(&error)))?;
        let ClientOptions { answer_timeout, retry, .. } = options;
        Ok(Self { shared: Arc::new(Shared { http, base, answer_timeout, retry }) })
    }

    pub(crate) fn retry(&self) -> RetryOptions {
        self.shared.retry
    }

    /// Retries until an answer is final or `within` has passed.
    pub(crate) async fn answered<T, F: Future<Output = Result<T, RequestError>>>(
        &self,
        within: Duration,
        once: impl FnMut() -> F,
    ) -> Result<T, RequestError> {
        let deadline = Some(Instant::now() + within);
        until_answered(self.retry(), deadline, |_, _| {}, once).await.map_err(|failure| match failure {
            RetryFailure::Final(error) | RetryFailure::Deadline { last: Some(error) } => error,
            RetryFailure::Deadline { last: None } => {
                RequestError::NoAnswer { url: without_credentials(&self.shared.base), within }
            }
        })
    }

    /// Transmits one request once, and reads its whole answer, of any status.
    pub(crate) async fn call(&self, call: Call) -> Result<Answer, RequestError> {
        let mut target = self.shared.base.clone();
        let path = call.path.trim_start_matches('/');
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        target.set_path(&format!("{}{path}", target.path()));
        target.set_query(query);
        let url = without_credentials(&target);

        let within = self.shared.answer_timeout + call.hold + upload_time(call.body.len());
        let mut request = self.shared.http.request(call.method.clone(), target).headers(call.headers);
        if !call.body.is_empty() || call.method == Method::POST {
            request = request.body(call.body);
        }
        let response = match timeout(within, request.send()).await {
            Ok(sent) => sent.map_err(|error| RequestError::from_transport(url.clone(), error))?,
            Err(_) => return Err(RequestError::NoAnswer { url, within }),
        };
        self.read(url, response).await
    }

    /// Reads an answer to its end. The answer time-out restarts with each piece of the body: a slow connection is not
    /// an error.
    async fn read(&self, url: String, mut response: Response) -> Result<Answer, RequestError> {
        let (at, status) = (Instant::now(), response.status());
        let headers = std::mem::take(response.headers_mut());
        let within = self.shared.answer_timeout;
        let mut body = BytesMut::new();
        loop {
            let piece = match timeout(within, response.chunk()).await {
                Ok(piece) => piece.map_err(|error| RequestError::from_transport(url.clone(), error))?,
                Err(_) => return Err(RequestError::NoAnswer { url, within }),
            };
            let Some(piece) = piece else { break };
            if body.len() + piece.len() > ANSWER_BYTES_MAX {
                let reason = format!("its answer is larger than {ANSWER_BYTES_MAX} bytes");
                return Err(RequestError::NotABroker { url, reason });
            }
            body.extend_from_slice(&piece);
        }
        Ok(Answer { url, at, status, headers, body: body.freeze() })
    }
}

/// Time to transmit a body over the slowest supported uplink.
fn upload_time(bytes: usize) -> Duration {
    Duration::from_secs(bytes as u64 / UPLINK_BYTES_PER_SECOND_MIN)
}

/// A URL that is safe to print.
fn without_credentials(url: &Url) -> String {
    let mut url = url.clone();
    // Both fail only where there is no host, and then there are no credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_removed_from_urls_in_errors() {
        let url = Url::parse("https://me:secret@gate.example/mail/v1").unwrap();
        assert_eq!(without_credentials(&url), "https://gate.example/mail/v1");
    }

    #[test]
    fn an_invalid_proxy_url_is_refused_without_printing_its_password() {
        let mut options = ClientOptions::new("http://127.0.0.1:8080");
        options.proxy = ProxyChoice::Url("http://me:secret@[".into());
        let error = Client::new(options).unwrap_err();
        assert!(matches!(error, OptionsError::Proxy(_)));
        assert!(!error.to_string().contains("secret"));
    }
}
