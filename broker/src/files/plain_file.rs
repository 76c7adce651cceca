//! Access to the files of a data folder, which must be plain files. Anything else, such as a link to a device, a pipe
//! or a folder, is reported by its kind and never read: it may have no end, or block.

use std::{
    fs::{self, File, FileType, OpenOptions},
    io::{self, ErrorKind, Read},
    os::unix::fs::{FileTypeExt, OpenOptionsExt},
    path::Path,
};

use rustix::{fs::OFlags, io::Errno};

use super::os_error::{self, Misplaced};

/// Opens a file for reading, if it exists.
pub(crate) fn open(path: &Path) -> io::Result<Option<File>> {
    open_with(path, OpenOptions::new().read(true))
}

/// Opens a file with these options, which must not create it.
pub(crate) fn open_with(path: &Path, options: &mut OpenOptions) -> io::Result<Option<File>> {
    // Do not block on a pipe.
    match options.custom_flags(OFlags::NONBLOCK.bits() as i32).open(path) {
        Ok(file) => {
            check(file.metadata()?.file_type())?;
            Ok(Some(file))
        }
        Err(error) => match kind(path)? {
            None => Ok(None),
            Some(kind) => Err(check(kind).err().unwrap_or_else(|| os_error::with_missing_right(path, error))),
        },
    }
}

/// Creates a file. An existing one is removed and not overwritten: it may be a link to somebody's file.
pub(crate) fn create(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let removed = match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    };
    let made = removed.and_then(|()| options.create_new(true).open(path));
    made.map_err(|error| match kind(path) {
        Ok(Some(kind)) => check(kind).err().unwrap_or_else(|| os_error::with_missing_right(path, error)),
        _ => os_error::with_missing_right(path, error),
    })
}

/// Whether a folder exists; anything else under this name is an error.
pub(crate) fn has_folder(path: &Path) -> io::Result<bool> {
    let Some(kind) = kind(path)? else { return Ok(false) };
    if kind.is_dir() { Ok(true) } else { Err(Misplaced::Kind { is: name(kind), wanted: "folder" }.into()) }
}

/// Reads a small file, if it exists.
pub(crate) fn read(path: &Path, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
    let Some(file) = open(path)? else { return Ok(None) };
    check_length(&file, bytes_max)?;
    let mut bytes = Vec::new();
    file.take(bytes_max).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Refuses a file that exceeds the limit of its kind.
pub(crate) fn check_length(file: &File, bytes_max: u64) -> io::Result<()> {
    let bytes = file.metadata()?.len();
    if bytes > bytes_max { Err(Misplaced::Long { bytes, bytes_max }.into()) } else { Ok(()) }
}

/// The kind of file that a path leads to, if the name exists.
fn kind(path: &Path) -> io::Result<Option<FileType>> {
    match fs::metadata(path) {
        Ok(found) => Ok(Some(found.file_type())),
        Err(error) => {
            let leads_nowhere =
                error.kind() == ErrorKind::NotFound || Errno::from_io_error(&error) == Some(Errno::LOOP);
            match fs::symlink_metadata(path) {
                Ok(found) if leads_nowhere && found.is_symlink() => Err(Misplaced::Dangling.into()),
                Err(missing) if missing.kind() == ErrorKind::NotFound => Ok(None),
                _ => Err(os_error::with_missing_right(path, error)),
            }
        }
    }
}

fn check(kind: FileType) -> io::Result<()> {
    if kind.is_file() { Ok(()) } else { Err(Misplaced::Kind { is: name(kind), wanted: "file" }.into()) }
}

/// The name of a kind, for people.
pub(crate) fn name(kind: FileType) -> &'static str {
    if kind.is_file() {
        "a file"
    } else if kind.is_symlink() {
        "a link"
    } else if kind.is_dir() {
        "a folder"
    } else if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn anything_but_a_plain_file_is_reported_by_its_kind_and_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let reason = |path: &Path| read(path, 10).unwrap_err().to_string();
        symlink("/dev/zero", &path).unwrap();
        assert!(reason(&path).contains("a device"), "{}", reason(&path));
        fs::remove_file(&path).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(reason(&path).contains("a pipe"), "{}", reason(&path));
        assert!(reason(folder.path()).contains("a folder"), "{}", reason(folder.path()));
        let write = open_with(folder.path(), OpenOptions::new().read(true).write(true)).unwrap_err();
        assert!(write.to_string().contains("a folder"), "{write}");
        assert!(read(&folder.path().join("none"), 10).unwrap().is_none());
        fs::remove_file(&path).unwrap();
        symlink("nowhere", &path).unwrap();
        assert!(reason(&path).contains("dangling link"), "{}", reason(&path));
        fs::remove_file(&path).unwrap();
        symlink("file", &path).unwrap();
        assert!(reason(&path).contains("dangling link"), "{}", reason(&path));
    }

    #[test]
    fn a_new_file_replaces_leftovers_and_writes_to_nothing_behind_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("file.tmp"), folder.path().join("other"));
        let made = || create(&path, OpenOptions::new().write(true));
        fs::write(&other, "somebody's").unwrap();
        symlink(&other, &path).unwrap();
        made().unwrap();
        assert_eq!((fs::read(&other).unwrap(), fs::read(&path).unwrap()), (b"somebody's".to_vec(), vec![]));
        fs::remove_file(&path).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        made().unwrap();
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(made().unwrap_err().to_string().contains("a folder"));
    }

    #[test]
    fn a_file_above_the_limit_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "0123456789").unwrap();
        assert_eq!(read(&path, 10).unwrap().unwrap(), b"0123456789");
        File::options().write(true).open(&path).unwrap().set_len(1 << 40).unwrap();
        assert!(read(&path, 10).unwrap_err().to_string().contains("limit of 10"));
    }
}
