//! Files of a data folder are plain ones. What is none, such as a link to a device, a pipe or a folder, is told by its name,
//! and never read: it may have no end, or wait for somebody.

use std::{
    fs::{File, FileType, OpenOptions},
    io::{self, Read},
    os::unix::fs::{FileTypeExt, OpenOptionsExt},
    path::Path,
};

use rustix::fs::OFlags;

/// A file to be read; none if there is none.
pub(crate) fn open(path: &Path) -> io::Result<Option<File>> {
    open_with(path, OpenOptions::new().read(true))
}

/// The same, opened as `options` say.
pub(crate) fn open_with(path: &Path, options: &mut OpenOptions) -> io::Result<Option<File>> {
    // A pipe is not waited for.
    match options.custom_flags(OFlags::NONBLOCK.bits() as i32).open(path) {
        Ok(file) => {
            check(file.metadata()?.file_type())?;
            Ok(Some(file))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        // A socket, or a folder that is to be written.
        Err(error) => match std::fs::metadata(path) {
            Ok(metadata) => Err(check(metadata.file_type()).err().unwrap_or(error)),
            Err(_) => Err(error),
        },
    }
}

/// All of a small file; none if there is none.
pub(crate) fn read(path: &Path, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
    let Some(file) = open(path)? else { return Ok(None) };
    let length = file.metadata()?.len();
    if length > bytes_max {
        let reason = format!("it has {length} bytes, and such a file has at most {bytes_max}");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, reason));
    }
    let mut bytes = Vec::new();
    file.take(bytes_max).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

fn check(kind: FileType) -> io::Result<()> {
    let what = if kind.is_file() {
        return Ok(());
    } else if kind.is_dir() {
        "a folder"
    } else if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("it is {what}, and no file: put the file there")))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn what_is_no_file_is_told_by_what_it_is_and_not_read() {
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
    }

    #[test]
    fn a_file_that_is_longer_than_such_files_are_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "0123456789").unwrap();
        assert_eq!(read(&path, 10).unwrap().unwrap(), b"0123456789");
        File::options().write(true).open(&path).unwrap().set_len(1 << 40).unwrap();
        assert!(read(&path, 10).unwrap_err().to_string().contains("at most 10"));
    }
}
