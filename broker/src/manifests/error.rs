//! Faults in manifests, and their place.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use restante_crds::manifest;

/// Faults that an error spells out; the rest are counted.
const FAULTS_SHOWN_MAX: usize = 20;

/// Why the manifests were not loaded.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("failed to read the manifests {path} (--manifests): {source}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        source: io::Error,
    },
    #[error("{path} exceeds the limit of a manifest: {bytes} bytes, at most {max}; split it", path = path.display())]
    TooLarge { path: PathBuf, bytes: u64, max: u64 },
    /// The files have invalid documents.
    #[error("{}", list(.0))]
    Invalid(Vec<Fault>),
}

/// One fault in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub file: PathBuf,
    /// Its place and message.
    pub error: manifest::ManifestError,
}

impl Fault {
    pub(super) fn new(file: &Path, error: manifest::ManifestError) -> Self {
        Self { file: file.to_owned(), error }
    }

    /// A fault of a whole document.
    pub(super) fn at(file: &Path, line: u64, message: String) -> Self {
        Self::new(file, manifest::ManifestError { line, column: 1, field: String::new(), message })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}, {}", self.file.display(), self.error)
    }
}

fn list(faults: &[Fault]) -> String {
    let mut shown: Vec<_> = faults.iter().take(FAULTS_SHOWN_MAX).map(Fault::to_string).collect();
    if let more @ 1.. = faults.len().saturating_sub(FAULTS_SHOWN_MAX) {
        shown.push(format!("and {more} more"));
    }
    shown.join("; ")
}
