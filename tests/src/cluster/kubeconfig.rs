//! Kubeconfig files: a user's identity and the address of the API server.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{folder::Folder, network};
use crate::certificates::{Authority, Subject};

/// Writes a kubeconfig for this user, with a new certificate.
pub fn write(folder: &Folder, authority: &Authority, name: &str, subject: Subject<'_>) -> Result<PathBuf> {
    let pair = authority.sign(name, subject)?;
    let (server, port) = (network::NODE, network::API_PORT);
    let [ca, certificate, key] =
        [&authority.certificate(), &pair.certificate, &pair.key].map(|path| shown(path));
    folder.write(
        &format!("{name}.kubeconfig"),
        &format!(
            "apiVersion: v1
kind: Config
clusters: [{{name: tests, cluster: {{server: 'https://{server}:{port}', certificate-authority: {ca}}}}}]
users: [{{name: {name}, user: {{client-certificate: {certificate}, client-key: {key}}}}}]
contexts: [{{name: tests, context: {{cluster: tests, user: {name}}}}}]
current-context: tests
"
        ),
    )
}

/// A path as a YAML string.
fn shown(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "''"))
}
