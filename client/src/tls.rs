//! TLS configuration: ring, the system's certificates, and certificates added by the caller.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::CertificateDer};
use rustls_platform_verifier::Verifier;

use crate::options::OptionsError;

/// The TLS configuration. It has a provider of its own: a library must not set the provider of the whole process.
///
/// `needed` is true if the broker's URL is `https`. Otherwise a system without certificates, like a container made from
/// scratch, is not an error: then only the caller's certificates are trusted, in case an `https` proxy needs them.
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
    // HTTP/1.1 only: a parked pull costs a connection either way, and company proxies support nothing else.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
