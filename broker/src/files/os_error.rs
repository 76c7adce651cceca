//! Errors of the operating system that only an administrator can resolve: something that no broker wrote is in the
//! place of a file or folder, or a permission is missing. All other errors come from the disk.

use std::{
    io::{self, ErrorKind},
    path::Path,
};

use rustix::{
    fs::{Access, AtFlags, CWD, accessat},
    io::Errno,
};

/// The wrong thing in the place of a file or folder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misplaced {
    #[error("it is {is}, not a {wanted}; put the {wanted} there")]
    Kind { is: &'static str, wanted: &'static str },
    #[error("it is a dangling link; put the right file or folder there")]
    Dangling,
    #[error(
        "it has {bytes} bytes, which exceeds the limit of {bytes_max} for this file; put the right file there"
    )]
    Long { bytes: u64, bytes_max: u64 },
}

impl From<Misplaced> for io::Error {
    fn from(misplaced: Misplaced) -> Self {
        Self::new(ErrorKind::InvalidInput, misplaced)
    }
}

/// A missing permission, in words.
#[derive(Debug, thiserror::Error)]
#[error(
    "{source}: user {user}, who runs this process, may not {right}; grant that permission, or run as the owner"
)]
struct Denied {
    source: io::Error,
    user: u32,
    right: String,
}

/// The misplaced file behind an error, if that is its cause.
pub(crate) fn misplaced(error: &io::Error) -> Option<&Misplaced> {
    error.get_ref()?.downcast_ref()
}

/// Whether a permission is missing. A user with that permission would get no error.
pub(crate) fn is_denied(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem)
}

/// Whether a folder is in the place of a file.
pub(crate) fn is_folder(error: &io::Error) -> bool {
    matches!(misplaced(error), Some(Misplaced::Kind { is: "a folder", .. }))
}

/// Whether the error persists until an administrator acts.
pub(crate) fn needs_administrator(error: &io::Error) -> bool {
    let kinds = [ErrorKind::NotADirectory, ErrorKind::IsADirectory];
    misplaced(error).is_some() || is_denied(error) || kinds.contains(&error.kind())
}

/// Adds the missing permission to an error, if one is missing.
pub(crate) fn with_missing_right(path: &Path, error: io::Error) -> io::Error {
    // For a volume that is mounted read-only the system's message is enough, and no permission helps.
    let is_right = |error: &&io::Error| error.kind() == ErrorKind::PermissionDenied;
    let Some(right) = Some(&error).filter(is_right).and_then(|_| missing(path)) else {
        return error;
    };
    let user = rustix::process::geteuid().as_raw();
    io::Error::new(error.kind(), Denied { source: error, user, right })
}

/// Checks whether an existing file or folder is readable and writable, without doing either.
pub(crate) fn check_rights(path: &Path) -> io::Result<()> {
    match accessat(CWD, path, Access::READ_OK | Access::WRITE_OK, AtFlags::EACCESS) {
        Err(error) if error != Errno::NOENT => Err(with_missing_right(path, error.into())),
        _ => Ok(()),
    }
}

/// The permission that this process lacks for a path.
fn missing(path: &Path) -> Option<String> {
    let lacks = |path: &Path, access| {
        let outcome = accessat(CWD, path, access, AtFlags::EACCESS);
        matches!(outcome, Err(Errno::ACCESS | Errno::PERM | Errno::ROFS))
    };
    let above: Vec<_> = path.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty()).collect();
    if let Some(folder) = above.iter().rev().find(|folder| lacks(folder, Access::EXEC_OK)) {
        return Some(format!("enter the folder {}", folder.display()));
    }
    if std::fs::symlink_metadata(path).is_err() {
        let folder = above.first()?;
        return lacks(folder, Access::WRITE_OK)
            .then(|| format!("create files in the folder {}", folder.display()));
    }
    let rights = [(Access::READ_OK, "read"), (Access::WRITE_OK, "write")];
    let missing: Vec<_> = rights.into_iter().filter(|(access, _)| lacks(path, *access)).collect();
    let names: Vec<_> = missing.into_iter().map(|(_, name)| name).collect();
    (!names.is_empty()).then(|| format!("{} it", names.join(" and ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misplaced_files_and_missing_permissions_need_an_administrator_and_a_failing_disk_does_not() {
        let of = |errno: Errno| needs_administrator(&errno.into());
        for errno in [Errno::ACCESS, Errno::PERM, Errno::ROFS, Errno::NOTDIR, Errno::ISDIR] {
            assert!(of(errno), "{errno}");
        }
        for errno in [Errno::IO, Errno::NOSPC, Errno::DQUOT, Errno::FBIG, Errno::MFILE] {
            assert!(!of(errno), "{errno}");
        }
        assert!(needs_administrator(&Misplaced::Dangling.into()));
    }

    #[test]
    fn other_errors_stay_unchanged() {
        let error = with_missing_right(Path::new("/"), Errno::IO.into());
        assert_eq!(error.raw_os_error(), Some(5));
    }
}
