//! Files after a crash, and after damage.

use std::{fs, path::PathBuf};

use super::*;

/// A closed store with three channels, each from its own change, and the path of one of its files.
fn three(folder: &Path, name: &str) -> PathBuf {
    let store = open(folder);
    store.sync(vec![]).unwrap();
    for name in ["one", "two", "three"] {
        store.put(config(name)).unwrap();
    }
    folder.join(name)
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// The offset of the first entry that contains this text.
fn entry_of(path: &Path, text: &str) -> usize {
    let bytes = fs::read(path).unwrap();
    let at = bytes.windows(text.len()).position(|window| window == text.as_bytes()).unwrap();
    bytes[..at].windows(4).rposition(|window| window == b"Rsa1").unwrap()
}

#[test]
fn a_torn_tail_is_cut_off_and_was_never_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let journal = three(folder.path(), "journal");
    let whole = fs::read(&journal).unwrap();
    let torn_from = entry_of(&journal, "acme/three");
    let end = whole[torn_from + 4..].windows(4).position(|window| window == b"Rsa1").unwrap() + torn_from + 4;
    for length in (torn_from + 1..end).step_by(11) {
        fs::write(&journal, &whole[..length]).unwrap();
        let store = open(folder.path());
        assert!(id(&store, "acme/two").is_some() && id(&store, "acme/three").is_none(), "{length}");
        // A number is assigned only when its change is on disk.
        store.put(config("four")).unwrap();
        assert!(id(&store, "acme/four").is_some());
        drop(store);
        assert!(id(&open(folder.path()), "acme/four").is_some());
    }
}

#[test]
fn a_tail_whose_sectors_were_not_written_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let journal = three(folder.path(), "journal");
    let torn_from = entry_of(&journal, "acme/three");
    let mut bytes = fs::read(&journal).unwrap();
    // The file's length reached the disk, but its bytes did not.
    bytes[torn_from..].fill(0);
    fs::write(&journal, bytes).unwrap();
    let store = open(folder.path());
    assert!(id(&store, "acme/two").is_some() && id(&store, "acme/three").is_none());
    drop(store);
    assert!(id(&open(folder.path()), "acme/two").is_some());
}

#[test]
fn damage_in_the_middle_is_refused_with_file_offset_and_advice() {
    let folder = tempfile::tempdir().unwrap();
    let journal = three(folder.path(), "journal");
    let offset = entry_of(&journal, "acme/two");
    // In the magic, the length, the sequence, the checksum and the payload.
    for at in [0, 4, 8, 16, 40] {
        flip(&journal, offset + at);
        let error = try_open(folder.path()).err().unwrap();
        assert!(
            matches!(&error, OpenError::Damaged { offset: found, .. } if *found == offset as u64),
            "{at}: {error}"
        );
        let text = error.to_string();
        assert!(text.contains(journal.to_str().unwrap()) && text.contains("restore"), "{text}");
        flip(&journal, offset + at);
    }
    assert_eq!(open(folder.path()).channels().len(), 3);
}

#[test]
fn damage_to_the_newest_change_is_not_mistaken_for_a_torn_tail() {
    let folder = tempfile::tempdir().unwrap();
    let journal = three(folder.path(), "journal");
    let offset = entry_of(&journal, "acme/three");
    flip(&journal, offset + 40);
    assert!(matches!(try_open(folder.path()), Err(OpenError::Damaged { .. })));
}

/// The bytes of a journal, and the offsets of its entries.
fn entries(journal: &Path) -> (Vec<u8>, Vec<usize>) {
    let bytes = fs::read(journal).unwrap();
    let begins = bytes.windows(4).enumerate().filter(|(_, window)| *window == b"Rsa1").map(|(at, _)| at);
    let begins = begins.collect();
    (bytes, begins)
}

#[test]
fn a_mark_that_a_power_cut_tore_before_the_next_change_is_not_damage() {
    let folder = tempfile::tempdir().unwrap();
    let journal = three(folder.path(), "journal");
    let (bytes, begins) = entries(&journal);
    let [.., two, mark, three, last_mark] = begins[..] else { panic!("{begins:?}") };
    assert_eq!(two, entry_of(&journal, "acme/two"));
    // The change reached the disk, the mark before it did not, and the change's own mark was never written.
    let mut torn = bytes[..last_mark].to_vec();
    torn[mark..three].fill(0);
    fs::write(&journal, &torn).unwrap();
    let store = open(folder.path());
    assert!(id(&store, "acme/two").is_some() && id(&store, "acme/three").is_none());
    store.put(config("four")).unwrap();
    drop(store);
    assert!(id(&open(folder.path()), "acme/four").is_some());
    // With its own mark, the change was acknowledged.
    torn.extend(&bytes[last_mark..]);
    fs::write(&journal, &torn).unwrap();
    assert!(
        matches!(try_open(folder.path()), Err(OpenError::Damaged { offset, .. }) if offset == mark as u64)
    );
    // Only a mark may be missing, nothing else.
    let mut torn = bytes[..last_mark].to_vec();
    torn[two..three].fill(0);
    fs::write(&journal, &torn).unwrap();
    assert!(
        matches!(try_open(folder.path()), Err(OpenError::Damaged { offset, .. }) if offset == two as u64)
    );
}

#[test]
fn a_change_without_its_mark_gets_it_before_the_next_change() {
    let folder = tempfile::tempdir().unwrap();
    let journal = three(folder.path(), "journal");
    let (bytes, begins) = entries(&journal);
    fs::write(&journal, &bytes[..begins[begins.len() - 1]]).unwrap();
    let store = open(folder.path());
    assert_eq!(fs::read(&journal).unwrap().len(), begins[begins.len() - 1], "a start writes nothing");
    store.put(config("four")).unwrap();
    drop(store);
    assert_eq!(entries(&journal).1.len(), begins.len() + 2);
    flip(&journal, entry_of(&journal, "acme/three") + 40);
    assert!(matches!(try_open(folder.path()), Err(OpenError::Damaged { .. })));
}

#[test]
fn reading_keeps_a_torn_tail_and_only_preparing_for_changes_cuts_it_off() {
    let folder = tempfile::tempdir().unwrap();
    let journal = three(folder.path(), "journal");
    let (bytes, begins) = entries(&journal);
    fs::write(&journal, &bytes[..begins[begins.len() - 2] + 30]).unwrap();
    let torn = fs::read(&journal).unwrap();
    let store = AddressStore::read(folder.path(), Uuid::nil()).unwrap();
    assert_eq!(inspection::inspect(folder.path()).unwrap().cut_at, Some(begins[begins.len() - 2] as u64));
    assert_eq!(fs::read(&journal).unwrap(), torn);
    store.begin().unwrap();
    assert_eq!(fs::read(&journal).unwrap().len(), begins[begins.len() - 2]);
    assert_eq!(AddressStore::read(&folder.path().join("none"), Uuid::nil()).unwrap().channels(), []);
    assert!(!folder.path().join("none").exists());
}

#[test]
fn a_damaged_snapshot_is_refused_wherever_it_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let snapshot = three(folder.path(), "snapshot");
    let store = open(folder.path());
    store.make_snapshot_due();
    store.put(config("four")).unwrap();
    drop(store);
    let whole = fs::read(&snapshot).unwrap();
    for at in 0..whole.len() {
        flip(&snapshot, at);
        assert!(matches!(try_open(folder.path()), Err(OpenError::Damaged { .. })), "{at}");
        fs::write(&snapshot, &whole).unwrap();
    }
    for length in 0..whole.len() {
        fs::write(&snapshot, &whole[..length]).unwrap();
        assert!(matches!(try_open(folder.path()), Err(OpenError::Damaged { .. })), "{length}");
    }
    fs::write(&snapshot, &whole).unwrap();
    assert_eq!(open(folder.path()).channels().len(), 4);
}

#[test]
fn a_crash_between_snapshot_and_journal_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let journal = three(folder.path(), "journal");
    let before = fs::read(&journal).unwrap();
    let store = open(folder.path());
    store.remove(config("two").uid).unwrap();
    store.make_snapshot_due();
    store.put(config("four")).unwrap();
    let state = store.state();
    drop(store);
    assert!(fs::metadata(&journal).unwrap().len() < before.len() as u64, "a new journal was started");
    fs::write(&journal, before).unwrap();
    let store = open(folder.path());
    assert_eq!(store.state(), state);
    assert!(matches!(store.put(config("two")), Err(ApplyError::Deleted { .. })));
    store.put(config("five")).unwrap();
    drop(store);
    assert!(id(&open(folder.path()), "acme/five").is_some());
}

#[test]
fn a_snapshot_without_its_journal_and_a_journal_without_its_snapshot_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let journal = three(folder.path(), "journal");
    let store = open(folder.path());
    store.make_snapshot_due();
    store.put(config("four")).unwrap();
    drop(store);
    for (file, missing) in [("journal", &journal), ("snapshot", &folder.path().join("snapshot"))] {
        let aside = folder.path().join("aside");
        fs::rename(missing, &aside).unwrap();
        let error = try_open(folder.path()).err().unwrap();
        assert!(matches!(&error, OpenError::Incomplete { path, .. } if path.ends_with(file)), "{error}");
        fs::rename(&aside, missing).unwrap();
    }
}

#[test]
fn files_of_a_later_version_are_refused() {
    use super::super::{frame, journal};
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = Vec::new();
    frame::encode(0, br#"{"head":{"format":2,"generation":0,"shards":[]}}"#, &mut bytes);
    fs::write(folder.path().join("journal"), &bytes).unwrap();
    assert!(matches!(
        try_open(folder.path()),
        Err(OpenError::Newer { found: 2, supported: journal::FORMAT, .. })
    ));
}
