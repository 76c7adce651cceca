//! Why a command of data care cannot be carried out.

use std::io;

use crate::{address_store, data_folder::DataFolderError, log};

/// Why it cannot be carried out. The folder that was read is as it was.
#[derive(Debug, thiserror::Error)]
pub enum CareError {
    /// The data folder cannot be had.
    #[error(transparent)]
    DataFolder(#[from] DataFolderError),
    /// The address store cannot be read at all.
    #[error(transparent)]
    AddressStore(#[from] address_store::OpenError),
    /// The log cannot be read at all.
    #[error(transparent)]
    Log(#[from] log::OpenError),
    /// There is no such channel.
    #[error("{folder} has no channel {channel}: it has {known}")]
    NoChannel {
        /// The folder.
        folder: String,
        /// The channel that was asked for.
        channel: String,
        /// Those that there are.
        known: String,
    },
    /// What was found out cannot be told.
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
}
