//! Keys and certificates of a test's cluster, all signed by one authority.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};

/// Subject of a certificate, as Kubernetes reads it: the common name is the user, organisations are groups.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    pub user: &'a str,
    pub group: Option<&'a str>,
}

/// A certificate and its key, as files in PEM.
#[derive(Debug, Clone)]
pub struct Pair {
    pub certificate: PathBuf,
    /// Its private key, PKCS#8.
    pub key: PathBuf,
}

/// An authority that signs certificates for the names of the cluster's servers.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: PathBuf,
    names: Vec<String>,
}

impl Authority {
    /// Makes an authority with its files in `folder`. Every certificate is valid for a client, and for a server at all
    /// `names` (host names or addresses).
    pub fn create(folder: &Path, names: &[&str]) -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, "restante-tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        write(&folder.join("ca.crt"), &params.self_signed(&key)?.pem())?;
        Ok(Self {
            issuer: Issuer::new(params, key),
            folder: folder.to_owned(),
            names: names.iter().map(ToString::to_string).collect(),
        })
    }

    /// The authority's own certificate, which all components trust.
    pub fn certificate(&self) -> PathBuf {
        self.folder.join("ca.crt")
    }

    /// Makes a key with a certificate, in files called `name`.
    pub fn sign(&self, name: &str, subject: Subject<'_>) -> Result<Pair> {
        let mut params = CertificateParams::new(self.names.clone())?;
        params.distinguished_name.push(DnType::CommonName, subject.user);
        if let Some(group) = subject.group {
            params.distinguished_name.push(DnType::OrganizationName, group);
        }
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let pair = Pair {
            certificate: self.folder.join(format!("{name}.crt")),
            key: self.folder.join(format!("{name}.key")),
        };
        write(&pair.certificate, &certificate.pem())?;
        write(&pair.key, &key.serialize_pem())?;
        Ok(pair)
    }
}

/// Makes a key pair without a certificate, for the tokens of ServiceAccounts: the private key in `sa.key`, the public
/// key in `sa.pub`.
pub fn service_account_keys(folder: &Path) -> Result<(PathBuf, PathBuf)> {
    let key = KeyPair::generate()?;
    let (private, public) = (folder.join("sa.key"), folder.join("sa.pub"));
    write(&private, &key.serialize_pem())?;
    write(&public, &key.public_key_pem())?;
    Ok((private, public))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
