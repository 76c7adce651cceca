//! Errors that end the broker, and their exit codes.

use std::{io, net::SocketAddr, path::PathBuf, process::ExitCode};

use crate::{
    address_store, control, data_folder::DataFolderError, files::os_error, first_failure::FirstFailure, log,
    manifests::ManifestError, shard,
};

/// Why the broker does not start, or stops.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(
        "failed to listen on {address} ({flag}): {source}; stop the process that uses the port, or choose another port"
    )]
    Listen {
        address: SocketAddr,
        /// The flag that sets the address.
        flag: &'static str,
        source: io::Error,
    },
    #[error(transparent)]
    DataFolder(#[from] DataFolderError),
    #[error(transparent)]
    AddressStore(#[from] address_store::OpenError),
    /// The wall clock cannot be written as the date of an HTTP answer.
    #[error(
        "the wall clock is out of range for HTTP dates: {seconds} s since 1970, must be between 1970 and 9999; \
         set the clock and run NTP"
    )]
    Clock {
        /// Seconds since 1970.
        seconds: i64,
    },
    #[error(transparent)]
    Manifests(#[from] ManifestError),
    /// The manifests conflict with the address store, or cannot be stored.
    #[error("failed to apply the manifests to {}: {source}", addresses.display())]
    Apply {
        /// The folder of the address store.
        addresses: PathBuf,
        source: address_store::ApplyError,
    },
    #[error(transparent)]
    Log(#[from] log::OpenError),
    #[error(transparent)]
    Shard(#[from] shard::StartError),
    #[error(transparent)]
    Token(#[from] control::TokenError),
    /// The metrics are inconsistent; a defect.
    #[error("failed to register the metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    #[error("failed to start a thread of the broker: {0}")]
    Thread(io::Error),
    /// The log or the address store failed while the broker ran.
    #[error("storage failed: {reason}; the next start recovers what was stored")]
    StoreFailed { reason: String },
}

/// `sysexits.h`, EX_IOERR: a disk failed or is full. A supervisor may restart the broker; a person should check the
/// disk.
const IO: u8 = 74;
/// `sysexits.h`, EX_CONFIG: a restart does not help until a person changes something.
const CONFIGURATION: u8 = 78;
/// Everything else; the last line of the log has the reason.
const OTHER: u8 = 1;

impl RunError {
    /// The failure that came first.
    pub(super) fn store_failed(reasons: [&FirstFailure; 2]) -> Self {
        let reason = reasons.into_iter().find_map(FirstFailure::reason);
        Self::StoreFailed { reason: reason.unwrap_or("a thread of the log is gone").to_owned() }
    }

    /// Exit code of the process; listed in `docs/data-care.md`.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code())
    }

    fn code(&self) -> u8 {
        match self {
            Self::StoreFailed { .. } => IO,
            Self::Clock { .. } | Self::Manifests(_) | Self::Token(_) => CONFIGURATION,
            Self::DataFolder(error) => of_data_folder(error),
            Self::AddressStore(error) => of_address_store(error),
            Self::Apply { source, .. } => of_change(source, CONFIGURATION),
            Self::Log(error) => of_log(error),
            Self::Shard(error) => of_core(error),
            Self::Listen { .. } | Self::Metrics(_) | Self::Thread(_) => OTHER,
        }
    }
}

/// For an error of the system: whether a person must fix it, or the disk failed.
fn of_system(error: &io::Error) -> u8 {
    if os_error::needs_administrator(error) { CONFIGURATION } else { IO }
}

fn of_data_folder(error: &DataFolderError) -> u8 {
    match error {
        DataFolderError::Io { source, .. } => of_system(source),
        DataFolderError::Full { .. } => IO,
        DataFolderError::NotAFolder { .. }
        | DataFolderError::CannotCreate { .. }
        | DataFolderError::Misplaced { .. }
        | DataFolderError::ReadOnly { .. }
        | DataFolderError::NoLocks { .. } => CONFIGURATION,
        DataFolderError::Locked { .. }
        | DataFolderError::InUse { .. }
        | DataFolderError::NoFolderToInspect { .. }
        | DataFolderError::NoDataFolder { .. }
        | DataFolderError::Damaged { .. }
        | DataFolderError::VersionMissing { .. }
        | DataFolderError::Newer { .. } => OTHER,
    }
}

fn of_address_store(error: &address_store::OpenError) -> u8 {
    use address_store::OpenError;
    match error {
        OpenError::Io { source, .. } => of_system(source),
        OpenError::Damaged { .. } | OpenError::Incomplete { .. } | OpenError::Newer { .. } => OTHER,
    }
}

/// For a change that the start makes; `refused` is the code if the change was refused for its content.
fn of_change(error: &address_store::ApplyError, refused: u8) -> u8 {
    use address_store::ApplyError;
    match error {
        ApplyError::NotWritten { source, .. } => of_system(source),
        ApplyError::Full(_) | ApplyError::Failed => IO,
        ApplyError::Invalid(_)
        | ApplyError::Conflict(_)
        | ApplyError::Deleted { .. }
        | ApplyError::Durability { .. }
        | ApplyError::TooMany(_)
        | ApplyError::TooManyOrphans(_)
        | ApplyError::IdTaken { .. } => refused,
    }
}

fn of_log(error: &log::OpenError) -> u8 {
    use log::OpenError;
    match error {
        OpenError::Io { source, .. } => of_system(source),
        OpenError::Full { .. } | OpenError::NoRoomBeside { .. } => IO,
        OpenError::Thread { .. }
        | OpenError::Version { .. }
        | OpenError::Damaged { .. }
        | OpenError::FileMissing { .. }
        | OpenError::InUse { .. }
        | OpenError::DamagedHead { .. }
        | OpenError::Duplicate { .. } => OTHER,
    }
}

fn of_core(error: &shard::StartError) -> u8 {
    use log::LogError;
    use shard::StartError;
    match error {
        StartError::Log(LogError::Io { source, .. }) => of_system(source),
        StartError::Log(LogError::Poisoned) => IO,
        StartError::AddressStore(error) => of_address_store(error),
        StartError::Apply(error) => of_change(error, OTHER),
        StartError::TooLong { .. } => CONFIGURATION,
        StartError::Log(_) | StartError::NoOwner(_) | StartError::Random(_) => OTHER,
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;
    use crate::files::Misplaced;

    fn eio() -> io::Error {
        Errno::IO.into()
    }

    #[test]
    fn a_failed_disk_ends_the_broker_with_74() {
        let (path, action) = (PathBuf::from("/data/x"), "read");
        let core = |error| RunError::Shard(shard::StartError::Log(error));
        let of_disk = [
            RunError::StoreFailed { reason: String::new() },
            RunError::DataFolder(DataFolderError::Io { action, path: path.clone(), source: eio() }),
            RunError::DataFolder(DataFolderError::Full { action, path: path.clone(), source: eio() }),
            RunError::AddressStore(address_store::OpenError::Io {
                action,
                path: path.clone(),
                source: eio(),
            }),
            RunError::Apply { addresses: path.clone(), source: address_store::ApplyError::Failed },
            RunError::Apply {
                addresses: path.clone(),
                source: address_store::ApplyError::NotWritten { file: path.clone(), source: eio() },
            },
            // Such as a sync of the journal, with which a start begins.
            RunError::Shard(shard::StartError::AddressStore(address_store::OpenError::Io {
                action,
                path: path.clone(),
                source: eio(),
            })),
            RunError::Shard(shard::StartError::Apply(address_store::ApplyError::Full(eio()))),
            RunError::Apply { addresses: path.clone(), source: address_store::ApplyError::Full(eio()) },
            RunError::Log(log::OpenError::Io { action, path: path.clone(), source: eio() }),
            RunError::Log(log::OpenError::Full { folder: path.clone(), segment_bytes: 1, source: eio() }),
            core(log::LogError::Io { action, file: path, source: eio() }),
        ];
        for error in of_disk {
            assert_eq!(error.code(), 74, "{error}");
        }
    }

    #[test]
    fn a_configuration_error_ends_the_broker_with_78() {
        let path = PathBuf::from("/data");
        let of_people = [
            RunError::Apply {
                addresses: path.clone(),
                source: address_store::ApplyError::TooMany(2_000_000),
            },
            RunError::DataFolder(DataFolderError::NotAFolder { path: path.clone() }),
            RunError::DataFolder(DataFolderError::ReadOnly {
                action: "open",
                path: path.clone(),
                source: eio(),
            }),
            RunError::DataFolder(DataFolderError::CannotCreate { path: path.clone(), source: eio() }),
            RunError::DataFolder(DataFolderError::Misplaced {
                action: "open",
                path: path.clone(),
                misplaced: Misplaced::Dangling,
            }),
            RunError::AddressStore(address_store::OpenError::Io {
                action: "open",
                path: path.clone(),
                source: Errno::ACCESS.into(),
            }),
            RunError::Log(log::OpenError::Io {
                action: "open",
                path: path.clone(),
                source: Misplaced::Dangling.into(),
            }),
            RunError::Shard(shard::StartError::Log(log::LogError::Io {
                action: "open",
                file: path,
                source: Errno::ROFS.into(),
            })),
            RunError::Shard(shard::StartError::TooLong { channel: "a/b".to_owned(), bytes: 2, longest: 1 }),
        ];
        for error in of_people {
            assert_eq!(error.code(), 78, "{error}");
        }
    }

    #[test]
    fn any_other_error_ends_the_broker_with_1() {
        let (path, waited) = (PathBuf::from("/data"), std::time::Duration::ZERO);
        let others = [
            RunError::DataFolder(DataFolderError::Locked { path: path.clone(), holder: None, waited }),
            RunError::Log(log::OpenError::DamagedHead { file: path.clone() }),
            RunError::Log(log::OpenError::Thread { folder: path, source: Errno::AGAIN.into() }),
            RunError::Thread(Errno::AGAIN.into()),
        ];
        for error in others {
            assert_eq!(error.code(), 1, "{error}");
        }
    }

    #[test]
    fn the_last_line_names_the_first_failure() {
        let (log, addresses) = (FirstFailure::default(), FirstFailure::default());
        log.record("failed to sync /data/log/00000001.seg: Input/output error (os error 5)");
        log.record("the log failed before");
        let text = RunError::store_failed([&log, &addresses]).to_string();
        assert!(text.contains("sync /data/log/00000001.seg") && text.contains("os error 5"), "{text}");
    }
}
