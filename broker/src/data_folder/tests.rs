//! What happens when people start a broker on all kinds of folders: every problem is reported, and no message is lost.

use std::os::unix::fs::symlink;

use super::*;

fn open(path: &Path) -> Result<DataFolder, DataFolderError> {
    DataFolder::open(path, Duration::ZERO)
}

/// Opens a folder, and does everything else that a start does to it.
fn begun(path: &Path) -> DataFolder {
    let folder = open(path).unwrap();
    folder.begin_logs(&folder.logs(1).unwrap()).unwrap();
    fs::create_dir_all(folder.addresses()).unwrap();
    folder.lease_key().unwrap();
    folder
}

#[test]
fn a_new_folder_is_created_for_its_owner_only_and_keeps_its_identity() {
    let above = tempfile::tempdir().unwrap();
    let path = above.path().join("new/data");
    let first = begun(&path);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(path.join("lease-key")).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(path.join("log").is_dir());
    let (store_id, lease_key) = (first.store_id(), *first.lease_key().unwrap());
    drop(first);
    let again = open(&path).unwrap();
    assert_eq!((again.store_id(), *again.lease_key().unwrap()), (store_id, lease_key));
    assert_ne!(open(&above.path().join("other")).unwrap().store_id(), store_id);
}

#[test]
fn a_lease_key_that_others_could_read_is_made_private_again() {
    let folder = tempfile::tempdir().unwrap();
    drop(begun(folder.path()));
    let key = folder.path().join("lease-key");
    fs::set_permissions(&key, Permissions::from_mode(0o664)).unwrap();
    drop(open(folder.path()).unwrap());
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_folder_in_use_is_refused_with_the_process_id_of_the_holder() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path()).unwrap();
    let error = open(folder.path()).unwrap_err();
    let DataFolderError::Locked { holder, .. } = &error else { panic!("{error}") };
    assert_eq!(*holder, Some(std::process::id()));
    let text = error.to_string();
    assert!(text.contains("--data-dir") && text.contains("--lock-wait"), "{text}");
    drop(first);
    assert!(open(folder.path()).is_ok());
}

#[test]
fn a_file_in_the_place_of_the_folder_or_of_a_parent_is_refused() {
    let above = tempfile::tempdir().unwrap();
    let file = above.path().join("file");
    fs::write(&file, "not a folder").unwrap();
    for path in [file.clone(), file.join("data")] {
        let error = open(&path).unwrap_err();
        assert!(matches!(error, DataFolderError::NotAFolder { .. }), "{error}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "not a folder");
}

#[test]
fn a_newer_format_is_refused_whatever_else_the_file_contains() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("restante.json"), r#"{"format": 2, "shards": []}"#).unwrap();
    let error = open(folder.path()).unwrap_err();
    assert!(matches!(error, DataFolderError::Newer { found: 2, supported: 1, .. }), "{error}");
}

#[test]
fn a_full_disk_is_refused_before_anything_is_half_created() {
    let folder = tempfile::tempdir().unwrap();
    durable::simulated::fill(true);
    let error = open(folder.path()).unwrap_err();
    assert!(matches!(error, DataFolderError::Full { .. }), "{error}");
    assert!(error.to_string().contains("make room"), "{error}");
    durable::simulated::fill(false);
    assert!(open(folder.path()).is_ok(), "there is room again");
}

#[test]
fn a_path_that_can_never_be_a_folder_is_distinguished_from_a_failing_disk() {
    let folder = tempfile::tempdir().unwrap();
    let (dangling, around) = (folder.path().join("dangling"), folder.path().join("around"));
    symlink("nowhere", &dangling).unwrap();
    symlink("around", &around).unwrap();
    let long = folder.path().join("x".repeat(300));
    for path in [Path::new("/proc/none/data"), &dangling, &around, &long] {
        let error = open(path).unwrap_err();
        assert!(matches!(error, DataFolderError::CannotCreate { .. }), "{error}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
    assert!(!folder.path().join("nowhere").exists());
}

#[test]
fn errors_of_the_operating_system_are_classified() {
    let of = |errno: Errno| io_error("open", Path::new("/data/lock"), errno.into());
    for errno in [Errno::ROFS, Errno::ACCESS, Errno::PERM] {
        let error = of(errno);
        assert!(matches!(&error, DataFolderError::ReadOnly { .. }), "{error}");
        assert!(
            error.to_string().contains("/data/lock") && error.to_string().contains("read-write"),
            "{error}"
        );
    }
    for errno in [Errno::NOSPC, Errno::DQUOT] {
        assert!(matches!(of(errno), DataFolderError::Full { .. }));
    }
    assert!(matches!(of(Errno::IO), DataFolderError::Io { .. }));
}

#[test]
fn a_small_file_that_the_disk_cannot_read_is_reported_and_the_others_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let store_id = begun(folder.path()).store_id();
    // Reading this file gives an input/output error.
    let path = folder.path().join("lease-key");
    fs::remove_file(&path).unwrap();
    symlink("/proc/self/mem", &path).unwrap();
    let error = open(folder.path()).unwrap_err();
    assert!(matches!(&error, DataFolderError::Io { path: named, .. } if *named == path), "{error}");
    let inspected = inspection::InspectedFolder::open(folder.path()).unwrap();
    assert_eq!((inspected.store_id(), inspected.lease_key()), (Some(store_id), None));
    let [(file, reason)] = &inspected.damage[..] else { panic!("{:?}", inspected.damage) };
    assert!(file == "lease-key" && reason.contains("the disk cannot read it"), "{reason}");
}

/// Damages a file.
type Spoil = fn(&Path);

#[test]
fn damaged_or_missing_files_are_named_and_not_recreated() {
    let damage: [(&str, Spoil, &str); 5] = [
        ("restante.json", |path| fs::write(path, "{}").unwrap(), "no valid format number"),
        ("restante.json", |path| fs::write(path, r#"{"format": 0}"#).unwrap(), "no valid format number"),
        ("restante.json", |path| fs::write(path, "half a f").unwrap(), "is damaged"),
        ("restante.json", |path| fs::remove_file(path).unwrap(), "is missing although addresses exists"),
        ("lease-key", |path| fs::write(path, "short").unwrap(), "5 bytes instead of 32"),
    ];
    for (name, spoil, expected) in damage {
        let folder = tempfile::tempdir().unwrap();
        drop(begun(folder.path()));
        let path = folder.path().join(name);
        spoil(&path);
        let error = open(folder.path()).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains(path.to_str().unwrap()), "{error}");
    }
}
