//! Files of released versions: every later one opens them.

use std::fs;

use super::*;

/// Three channels in the snapshot, one of them an orphan, and a deleted UID; one more channel in the journal.
fn fill(folder: &Path) {
    let store = open(folder);
    store.sync(["one", "two", "three"].map(config).to_vec()).unwrap();
    store.sync(["two", "three"].map(config).to_vec()).unwrap();
    store.remove(config("three").uid).unwrap();
    store.writer().disk.make_snapshot_due();
    store.put(config("four")).unwrap();
    store.put(config("five")).unwrap();
}

#[test]
fn the_files_of_0_1_0_are_opened() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/0.1.0/addresses");
    let folder = tempfile::tempdir().unwrap();
    for name in ["snapshot", "journal"] {
        fs::copy(fixture.join(name), folder.path().join(name)).unwrap();
    }
    let store = open(folder.path());
    let numbers = ["acme/one", "acme/two", "acme/three", "acme/four", "acme/five"]
        .map(|address| number(&store, address));
    assert_eq!(numbers, [None, Some(2), None, Some(4), Some(5)]);
    assert_eq!(store.orphans()[0].config, config("one"));
    assert!(matches!(store.put(config("three")), Err(ApplyError::Deleted { .. })));
    assert!(store.is_programmed() && store.is_given(5) && !store.is_given(6));
    assert_eq!(store.by_name("acme", "five").unwrap().config, config("five"));
}

#[test]
fn this_version_writes_the_files_of_0_1_0() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/0.1.0/addresses");
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path());
    // The journal has no time in it, so it is the same to the byte.
    assert_eq!(fs::read(folder.path().join("journal")).unwrap(), fs::read(fixture.join("journal")).unwrap());
    let lengths =
        [folder.path(), &fixture].map(|folder| fs::metadata(folder.join("snapshot")).unwrap().len());
    assert_eq!(lengths[0], lengths[1]);
}
