//! Bytes of released versions, opened for ever. `broker/tests/fixtures/VERSION/log` is a log's folder as that version left
//! it when its process was killed; `log-records.txt` beside it is what is in it.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

use crate::log::{
    Idempotency, Record, Sync,
    disk::{
        DiskLog, Options,
        storage::{Folder, Storage},
    },
};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
const OPTIONS: Options = Options { segment_bytes: 64 << 10 };

/// A folder whose random numbers are all the same, so that the same bytes are written each time.
#[derive(Clone)]
struct Repeatable(Folder);

impl Storage for Repeatable {
    type File = File;

    fn list(&self) -> io::Result<Vec<String>> {
        self.0.list()
    }

    fn open(&self, name: &str) -> io::Result<File> {
        Storage::open(&self.0, name)
    }

    fn create(&self, name: &str) -> io::Result<File> {
        self.0.create(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }

    fn sync_folder(&self) -> io::Result<()> {
        self.0.sync_folder()
    }

    fn random(&self) -> io::Result<u64> {
        Ok(0x1817_1615_1413_1211)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

/// One of each kind, in two groups, the second not synced.
fn write(folder: &Path) {
    let storage = Repeatable(Folder::open(folder).unwrap());
    let mut log =
        DiskLog::open_in(storage, OPTIONS, &mut |_, record| panic!("{record:?} in a new log")).unwrap();
    let idempotency = Some(Idempotency { hash: 0xfeed, fingerprint: 0, expires_ms: 1_800_000_300_000 });
    let push = |sequence, idempotency, headers, body| Record::Push {
        channel: 7,
        sequence,
        message_id: 0x0123_4567_89ab_cdef,
        enqueued_ms: 1_800_000_000_000,
        idempotency,
        headers,
        body,
    };
    log.append(&push(0, idempotency, b"headers", b"with a key")).unwrap();
    log.append(&push(1, None, b"", &[])).unwrap();
    log.commit(Sync::Now).unwrap();
    for record in [
        Record::Lease {
            channel: 7,
            sequence: 0,
            delivery: 1,
            uncounted: 0,
            start: 99,
            ends_ms: 1_800_000_030_000,
        },
        Record::Release { channel: 7, sequence: 0, delivery: 1, counted: false },
        Record::Settle { channel: 7, sequence: 1 },
        Record::IdempotencyKey {
            channel: 7,
            hash: 5,
            message_id: 6,
            sequence: 8,
            expires_ms: 1_800_000_300_000,
        },
    ] {
        log.append_reserved(&record).unwrap();
    }
    log.commit(Sync::Later).unwrap();
}

fn read(folder: &Path) -> String {
    let mut text = String::new();
    DiskLog::open(folder, OPTIONS, &mut |_, record| text.push_str(&format!("{record:?}\n"))).unwrap();
    text
}

#[test]
fn the_log_of_each_released_version_opens() {
    let mut versions = 0;
    for version in fs::read_dir(FIXTURES).unwrap() {
        let version = version.unwrap().path();
        let copy = tempfile::tempdir().unwrap();
        for file in fs::read_dir(version.join("log")).unwrap().map(|file| file.unwrap()) {
            fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
        }
        let expected = fs::read_to_string(version.join("log-records.txt")).unwrap();
        assert_eq!(read(copy.path()), expected, "{}", version.display());
        versions += 1;
    }
    assert!(versions > 0, "there are no fixtures in {FIXTURES}");
}

/// Not the fixture itself, which never changes: that this version still writes what 0.1.0 wrote.
#[test]
fn this_version_writes_what_the_newest_fixture_holds() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    let segment = fs::read(folder.path().join("00000001.seg")).unwrap();
    let expected = fs::read_to_string(Path::new(FIXTURES).join("0.1.0/log-records.txt")).unwrap();
    assert_eq!(read(folder.path()), expected);
    let fixture = fs::read(Path::new(FIXTURES).join("0.1.0/log/00000001.seg")).unwrap();
    if segment != fixture {
        write(&folder.path().join("again"));
        panic!("the bytes differ; this version's are in {}", folder.keep().join("again").display());
    }
}
