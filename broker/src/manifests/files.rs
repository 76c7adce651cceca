//! The manifest files of a path, and their text.

use std::{
    fs,
    io::{ErrorKind, Read},
    path::{Path, PathBuf},
};

use super::ManifestError;
use crate::files::plain_file;

/// Longest manifest file: a hundred thousand channels. It keeps the broker from reading a log or an image that was
/// given by mistake.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The path itself if it is a file. Otherwise the `.yaml` and `.yml` files in the folder whose names do not begin with
/// a dot, sorted by name.
pub(super) fn list(path: &Path) -> Result<Vec<PathBuf>, ManifestError> {
    let io = |source| ManifestError::Io { path: path.to_owned(), source };
    if !fs::metadata(path).map_err(io)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(io)? {
        let file = entry.map_err(io)?.path();
        let is_yaml = file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        // Editors and file systems keep copies under such names: .channels.yaml.swp, ._channels.yaml.
        let is_hidden = file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        // Follows links: a mounted ConfigMap is a folder of links.
        if is_yaml && !is_hidden && !file.is_dir() {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

/// The text of one file.
pub(super) fn read(path: &Path) -> Result<String, ManifestError> {
    let io = |source| ManifestError::Io { path: path.to_owned(), source };
    let file = plain_file::open(path).map_err(io)?.ok_or_else(|| io(ErrorKind::NotFound.into()))?;
    let bytes = file.metadata().map_err(io)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(ManifestError::TooLarge { path: path.to_owned(), bytes, max: FILE_BYTES_MAX });
    }
    let mut text = String::new();
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(io)?;
    Ok(text)
}
