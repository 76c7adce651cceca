//! Settings of a client: the broker's URL, the proxy, trusted certificates, time-outs and retries.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use reqwest::Url;
use rustls::pki_types::{CertificateDer, pem::PemObject};

pub use restante_wire::channel::MESSAGE_BYTES_MAX;
use restante_wire::control_token::ControlTokenError;

use crate::retry::RetryOptions;

/// Default time-out for connecting, including the handshakes of the proxy and of TLS. TCP repeats a lost SYN after 1, 3
/// and 7 seconds (RFC 6298): ten seconds allow for three lost ones.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Default time-out for an answer, on top of the wait that the request asks for. A broker with a slow disk syncs within
/// a few seconds; a typical proxy times out after 60.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// The HTTP proxy to use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ProxyChoice {
    /// The proxy of the environment: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`.
    #[default]
    System,
    /// No proxy. The environment is ignored.
    Direct,
    /// This proxy for every request: by CONNECT to an `https` broker, by absolute URL to an `http` broker. May contain
    /// credentials: `http://user:password@proxy:3128`.
    Url(String),
}

/// Settings of a [`Client`](crate::Client). Start with [`ClientOptions::new`] and change single fields.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ClientOptions {
    /// The broker's base URL: `http` or `https`, with a path if a gateway serves the broker under one.
    pub broker: String,
    /// The HTTP proxy to use.
    pub proxy: ProxyChoice,
    /// Certificates to trust in addition to the system's, in DER.
    pub ca_certificates: Vec<CertificateDer<'static>>,
    /// Time-out for connecting; [`CONNECT_TIMEOUT`] by default.
    pub connect_timeout: Duration,
    /// Time-out for an answer, on top of the wait that the request asks for; [`ANSWER_TIMEOUT`] by default. The request
    /// is retried after it.
    pub answer_timeout: Duration,
    /// Pauses between tries.
    pub retry: RetryOptions,
}

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    /// The broker's URL is invalid.
    #[error("the broker's URL {url:?} is invalid: {reason}; write it like http://127.0.0.1:8080")]
    Broker {
        /// The given URL.
        url: String,
        /// Why the URL is invalid.
        reason: String,
    },
    /// The proxy's URL is invalid. The error does not contain the URL, which may have a password in it.
    #[error("the proxy's URL is invalid: {0}; write it like http://proxy.example:3128")]
    Proxy(String),
    /// A file of certificates cannot be read.
    #[error("cannot read the certificates in {path}: {source}; check the path and its permissions")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A file contains no certificate, or an invalid one.
    #[error("{path} has no valid certificate: {reason}; it must be PEM, with BEGIN CERTIFICATE lines")]
    CaPem {
        /// The file; `PEM` if the certificates were passed as text.
        path: PathBuf,
        /// Why there is no valid certificate.
        reason: String,
    },
    /// TLS setup failed, for instance because the system has no CA certificates.
    #[error("cannot set up TLS: {0}; install the system's CA certificates (package ca-certificates)")]
    Tls(String),
    /// The control token is invalid. The error does not contain the token, which is a secret.
    #[error("the control token is invalid: it {0}; use the broker's own token file (--control-token-file)")]
    ControlToken(ControlTokenError),
    /// The HTTP library rejected the settings.
    #[error("cannot set up the HTTP client: {0}")]
    Http(String),
}

impl ClientOptions {
    /// Default settings for the broker at this base URL.
    pub fn new(broker: impl Into<String>) -> Self {
        Self {
            broker: broker.into(),
            proxy: ProxyChoice::default(),
            ca_certificates: Vec::new(),
            connect_timeout: CONNECT_TIMEOUT,
            answer_timeout: ANSWER_TIMEOUT,
            retry: RetryOptions::default(),
        }
    }

    /// Adds the certificates of a PEM file to the trusted ones.
    pub fn add_ca_file(&mut self, path: impl AsRef<Path>) -> Result<(), OptionsError> {
        let path = path.as_ref();
        let pem =
            std::fs::read(path).map_err(|source| OptionsError::CaFile { path: path.to_owned(), source })?;
        self.ca_certificates.extend(certificates(path, &pem)?);
        Ok(())
    }

    /// Adds the certificates of a PEM text to the trusted ones.
    pub fn add_ca_pem(&mut self, pem: &[u8]) -> Result<(), OptionsError> {
        self.ca_certificates.extend(certificates(Path::new("PEM"), pem)?);
        Ok(())
    }

    /// The base URL, validated and ending in a slash.
    pub(crate) fn base(&self) -> Result<Url, OptionsError> {
        let error = |reason: String| OptionsError::Broker { url: self.broker.clone(), reason };
        let mut url = Url::parse(&self.broker).map_err(|reason| error(reason.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(error(format!("its scheme is {}, not http or https", url.scheme())));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(error("it has a query or a fragment".into()));
        }
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        Ok(url)
    }
}

/// Parses the certificates of a PEM text; an error if there is none.
fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, OptionsError> {
    let error = |reason: String| OptionsError::CaPem { path: path.to_owned(), reason };
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|reason| error(reason.to_string()))?;
    if found.is_empty() { Err(error("it contains none".into())) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_may_have_a_path_and_ends_in_a_slash() {
        let base = |text: &str| ClientOptions::new(text).base().map(|url| url.to_string()).ok();
        assert_eq!(base("http://127.0.0.1:8080"), Some("http://127.0.0.1:8080/".into()));
        assert_eq!(base("https://gate.example/mail"), Some("https://gate.example/mail/".into()));
        for bad in ["", "127.0.0.1:8080", "ftp://a", "http://a/?b", "http://a/#b"] {
            assert_eq!(base(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_pem_without_a_certificate_is_refused() {
        let mut options = ClientOptions::new("http://127.0.0.1:8080");
        assert!(matches!(options.add_ca_pem(b"hello"), Err(OptionsError::CaPem { .. })));
        assert!(matches!(
            options.add_ca_pem(b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"),
            Err(OptionsError::CaPem { .. })
        ));
        assert!(options.ca_certificates.is_empty());
    }
}
