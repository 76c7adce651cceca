//! What the operating system refuses and only a person can put right: something that no broker wrote stands in the place of a
//! file or folder, or a right is missing. All else is the disk's.

use std::{
    io::{self, ErrorKind},
    path::Path,
};

use rustix::{
    fs::{Access, AtFlags, CWD, accessat},
    io::Errno,
};

/// What stands in the place of a file or folder and is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misplaced {
    /// Something of another kind.
    #[error("it is {is}, and no {wanted}: put the {wanted} there")]
    Kind {
        /// What it is.
        is: &'static str,
        /// What belongs there.
        wanted: &'static str,
    },
    /// A link to nothing, or to itself.
    #[error("it is a link that leads nowhere: put there what belongs there")]
    Dangling,
    /// A file that is longer than a broker makes any.
    #[error("it has {bytes} bytes, and such a file has at most {bytes_max}: put the file there")]
    Long {
        /// Its bytes.
        bytes: u64,
        /// The most that there can be.
        bytes_max: u64,
    },
}

impl From<Misplaced> for io::Error {
    fn from(misplaced: Misplaced) -> Self {
        Self::new(ErrorKind::InvalidInput, misplaced)
    }
}

/// A right that is missing, as people are told of it.
#[derive(Debug, thiserror::Error)]
#[error(
    "{source}: user {user}, who runs this, may not {right}: give that user the right, or run this as the owner"
)]
struct Denied {
    source: io::Error,
    user: u32,
    right: String,
}

/// What is told of a file's place, if that is what is wrong.
pub(crate) fn misplaced(error: &io::Error) -> Option<&Misplaced> {
    error.get_ref()?.downcast_ref()
}

/// Whether a right is missing: whoever has it finds nothing wrong.
pub(crate) fn is_denied(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem)
}

/// Whether a folder stands in the place of a file.
pub(crate) fn is_folder(error: &io::Error) -> bool {
    matches!(misplaced(error), Some(Misplaced::Kind { is: "a folder", .. }))
}

/// Whether nothing changes until a person does.
pub(crate) fn needs_administrator(error: &io::Error) -> bool {
    let kinds = [ErrorKind::NotADirectory, ErrorKind::IsADirectory];
    misplaced(error).is_some() || is_denied(error) || kinds.contains(&error.kind())
}

/// The same error; where a right is missing, with which one that is.
pub(crate) fn with_missing_right(path: &Path, error: io::Error) -> io::Error {
    // Of a volume that is mounted read-only the system says so, and no right helps.
    let is_right = |error: &&io::Error| error.kind() == ErrorKind::PermissionDenied;
    let Some(right) = Some(&error).filter(is_right).and_then(|_| missing(path)) else {
        return error;
    };
    let user = rustix::process::geteuid().as_raw();
    io::Error::new(error.kind(), Denied { source: error, user, right })
}

/// Whether a file or folder that is there may be read and written, without doing either.
pub(crate) fn check_rights(path: &Path) -> io::Result<()> {
    match accessat(CWD, path, Access::READ_OK | Access::WRITE_OK, AtFlags::EACCESS) {
        Err(error) if error != Errno::NOENT => Err(with_missing_right(path, error.into())),
        _ => Ok(()),
    }
}

/// The right to a path that this process lacks.
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
            .then(|| format!("make files in the folder {}", folder.display()));
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
    fn a_person_is_asked_for_what_stands_in_the_wrong_place_and_for_rights_and_not_for_a_disk_that_fails() {
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
    fn an_error_of_another_kind_says_what_it_said() {
        let error = with_missing_right(Path::new("/"), Errno::IO.into());
        assert_eq!(error.raw_os_error(), Some(5));
    }
}
