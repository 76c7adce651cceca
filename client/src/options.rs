//! How a client reaches its broker: where it is, through which proxy, trusting which certificates, how patiently.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use reqwest::Url;
use rustls::pki_types::{CertificateDer, pem::PemObject};

pub use restante_wire::channel::MESSAGE_BYTES_MAX;
use restante_wire::control_token::ControlTokenError;

use crate::retry::RetryOptions;

/// How long a TCP connection, with the proxy's and TLS's part of it, may take to come about. TCP repeats a lost SYN
/// after 1, 3 and 7 seconds (RFC 6298): ten allow for three lost ones.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an answer may take beyond what the request itself asks to wait for. A broker whose disk is slow syncs within
/// a few seconds; the usual proxy gives up after 60.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Through what the requests go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ProxyChoice {
    /// What the environment says: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`.
    #[default]
    System,
    /// No proxy, whatever the environment says.
    Direct,
    /// This proxy for every request: by CONNECT to an `https` broker, by absolute URL to an `http` broker. May hold
    /// credentials: `http://user:password@proxy:3128`.
    Url(String),
}

/// What a [`Client`](crate::Client) is made of. Made by [`ClientOptions::new`], then changed field by field.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ClientOptions {
    /// The broker's base URL: `http` or `https`, with a path where a gateway puts the broker under one.
    pub broker: String,
    /// Through what the requests go.
    pub proxy: ProxyChoice,
    /// Certificates to trust besides the system's, DER.
    pub ca_certificates: Vec<CertificateDer<'static>>,
    /// How long a connection may take to come about: [`CONNECT_TIMEOUT`].
    pub connect_timeout: Duration,
    /// How long an answer may take beyond the wait that the request asks for, before the request is made again: [`ANSWER_TIMEOUT`].
    pub answer_timeout: Duration,
    /// How long to pause between tries.
    pub retry: RetryOptions,
}

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    /// The broker's URL cannot be used.
    #[error("the broker's URL {url:?} cannot be used: {reason}; write it like http://127.0.0.1:8080")]
    Broker {
        /// As it was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The proxy's URL cannot be used. It is not repeated: it may hold a password.
    #[error("the proxy's URL cannot be used: {0}; write it like http://proxy.example:3128")]
    Proxy(String),
    /// A file of certificates cannot be read.
    #[error("cannot read the certificates in {path}: {source}; check the path and who may read it")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file has no certificate in it, or one that cannot be parsed.
    #[error("{path} holds no usable certificate: {reason}; it must be PEM, with BEGIN CERTIFICATE lines")]
    CaPem {
        /// The file, or `PEM` where the text came from elsewhere.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// TLS cannot be set up, for instance because the system has no certificates.
    #[error("cannot set TLS up: {0}; install the system's CA certificates (package ca-certificates)")]
    Tls(String),
    /// The control port's token cannot be sent. It is not repeated: it is a secret.
    #[error("the control port's token {0}; give the file that the broker has (--control-token-file)")]
    ControlToken(ControlTokenError),
    /// The HTTP library refused the settings.
    #[error("cannot set the HTTP client up: {0}")]
    Http(String),
}

impl ClientOptions {
    /// The defaults for the broker at this base URL.
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

    /// Trusts the certificates of a PEM file as well.
    pub fn add_ca_file(&mut self, path: impl AsRef<Path>) -> Result<(), OptionsError> {
        let path = path.as_ref();
        let pem =
            std::fs::read(path).map_err(|source| OptionsError::CaFile { path: path.to_owned(), source })?;
        self.ca_certificates.extend(certificates(path, &pem)?);
        Ok(())
    }

    /// Trusts the certificates of a PEM text as well.
    pub fn add_ca_pem(&mut self, pem: &[u8]) -> Result<(), OptionsError> {
        self.ca_certificates.extend(certificates(Path::new("PEM"), pem)?);
        Ok(())
    }

    /// The base URL, checked, and ending in a slash.
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

/// The certificates of a PEM text, at least one.
fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, OptionsError> {
    let error = |reason: String| OptionsError::CaPem { path: path.to_owned(), reason };
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|reason| error(reason.to_string()))?;
    if found.is_empty() { Err(error("there is none".into())) } else { Ok(found) }
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
