//! TLS as every request of this client uses it: ring, the system's certificates and those that the caller adds.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::CertificateDer};
use rustls_platform_verifier::Verifier;

use crate::options::OptionsError;

/// The configuration, with a provider of its own: a library must not decide which provider is the process's.
///
/// `needed` says whether the broker's URL is `https`. If not, a system without certificates (a container made from
/// scratch) is no reason to refuse: then only what the caller added is trusted, should an `https` proxy need it.
pub(crate) fn config(extra: &[CertificateDer<'static>], needed: bool) -> Result<ClientConfig, OptionsError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| OptionsError::Tls(error.to_string()))?;
    let mut config = match Verifier::new_with_extra_roots(extra.iter().cloned(), provider) {
        Ok(verifier) => builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)),
        Err(error) if needed => return Err(OptionsError::Tls(error.to_string())),
        Err(_) => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(extra.iter().cloned());
            builder.with_root_certificates(roots)
        }
    }
    .with_no_client_auth();
    // HTTP/1.1 only: a parked pull costs a connection either way, and company proxies know nothing else.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
