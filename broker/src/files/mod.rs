//! The files of a broker: opened only if they are plain files, replaced completely or not at all, and with errors that
//! tell a person what to do.

pub(crate) mod durable;
pub(crate) mod os_error;
pub(crate) mod plain_file;

pub use os_error::Misplaced;
