//! Files of released versions, which every later version opens, and of this one.

use std::fs;

use super::*;

/// A channel of the fixture. The snapshot has three channels, one of them an orphan, and a deleted UID; the journal has
/// two more.
fn of_fixture(name: &str) -> ChannelConfig {
    let mut config = config(name);
    config.limits.messages = 100;
    config.limits.bytes = 1 << 20;
    config.limits.message_bytes = 1 << 10;
    config
}

#[test]
fn the_files_of_the_fixture_are_opened() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/1/addresses");
    let folder = tempfile::tempdir().unwrap();
    for name in ["snapshot", "journal"] {
        fs::copy(fixture.join(name), folder.path().join(name)).unwrap();
    }
    let store = open(folder.path());
    for (name, is_there) in [("one", false), ("two", true), ("three", false), ("four", true), ("five", true)]
    {
        let expected = is_there.then(|| id_of(config(name).uid));
        assert_eq!(id(&store, &format!("acme/{name}")), expected, "{name}");
    }
    assert_eq!(store.orphans()[0].config, of_fixture("one"));
    assert!(matches!(store.put(config("three")), Err(ApplyError::Deleted { .. })));
    assert!(store.is_programmed());
    assert_eq!(store.by_name("acme", "five").unwrap().config, of_fixture("five"));
}
