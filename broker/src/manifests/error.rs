//! What is wrong with manifests, and where.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use restante_crds::manifest;

/// Faults that an error spells out; more of them are counted.
const FAULTS_SHOWN_MAX: usize = 20;

/// Why there is no set of channels.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// A file or folder cannot be read.
    #[error("cannot read the manifests {path} (--manifests): {source}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file is too large to be a manifest.
    #[error("{path} has {bytes} bytes, and a manifest has at most {max}: divide it", path = path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its length.
        bytes: u64,
        /// The longest that is read.
        max: u64,
    },
    /// The files cannot be obeyed.
    #[error("{}", list(.0))]
    Invalid(Vec<Fault>),
}

/// One thing that is wrong, in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file.
    pub file: PathBuf,
    /// Where in it and what, and what to do.
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
