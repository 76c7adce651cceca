//! Why the broker does not start, or stops.

use std::{io, net::SocketAddr, process::ExitCode};

use crate::{
    address_store, control,
    core::{self},
    data_folder::DataFolderError,
    log,
    manifests::ManifestError,
};

/// Why the broker does not start, or stops.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A port cannot be had.
    #[error("failed to listen on {address} ({flag}): {source}; stop what has the port, or choose another")]
    Listen {
        /// The address and port.
        address: SocketAddr,
        /// The flag that says it.
        flag: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// The data folder cannot be had.
    #[error(transparent)]
    DataFolder(#[from] DataFolderError),
    /// The address store cannot be opened.
    #[error(transparent)]
    AddressStore(#[from] address_store::OpenError),
    /// The wall clock shows what no HTTP answer can be dated with.
    #[error(
        "the system's wall clock is before 1970 or after 9999 ({seconds} s from 1970), which no HTTP answer can be dated with: \
         set it, and run NTP"
    )]
    Clock {
        /// What it shows.
        seconds: i64,
    },
    /// The manifests cannot be obeyed.
    #[error(transparent)]
    Manifests(#[from] ManifestError),
    /// What the manifests say cannot be stored.
    #[error("failed to take the manifests: {0}")]
    Apply(#[from] address_store::ApplyError),
    /// The log cannot be opened.
    #[error(transparent)]
    Log(#[from] log::OpenError),
    /// The channels cannot be rebuilt from the log.
    #[error(transparent)]
    Core(#[from] core::StartError),
    /// The credential cannot be read.
    #[error(transparent)]
    Token(#[from] control::TokenError),
    /// The metrics are inconsistent, which is a defect.
    #[error("failed to register the metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// A thread or runtime cannot be made.
    #[error("failed to start a thread of the broker: {0}")]
    Thread(io::Error),
    /// The log failed while the broker ran.
    #[error("the log failed; what was stored is decided when the broker starts again")]
    StoreFailed,
}

impl RunError {
    /// `sysexits.h`: 74 is EX_IOERR, which a supervisor may take for a disk that needs a look; 78 is EX_CONFIG.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::StoreFailed => ExitCode::from(74),
            Self::Clock { .. } | Self::Manifests(_) | Self::Apply(_) | Self::Token(_) => ExitCode::from(78),
            Self::Listen { .. }
            | Self::DataFolder(_)
            | Self::AddressStore(_)
            | Self::Log(_)
            | Self::Core(_)
            | Self::Metrics(_)
            | Self::Thread(_) => ExitCode::FAILURE,
        }
    }
}
