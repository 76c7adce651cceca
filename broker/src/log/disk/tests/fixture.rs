//! Files of earlier versions, which must always open. `broker/tests/fixtures/VERSION/log` is the folder of a log as
//! that version left it when its process was killed; `log-records.txt` beside it lists its records.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

use crate::log::{
    Ended, Idempotency, Log, Record, RecordedPhase, Sync, Target, Targets,
    conformance::BlockingLog,
    disk::{
        DiskLog, Options,
        storage::{Folder, Storage, Volume},
    },
};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
const OPTIONS: Options = Options { segment_bytes: 64 << 10 };

/// A folder with constant random numbers, so that the same bytes are written each time.
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

    fn volume(&self) -> io::Result<Volume> {
        self.0.volume()
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

/// Writes records like each version: one of each kind that was new in it and that this version still writes, in two
/// batches, the second one unsynced.
type Write = fn(&mut DiskLog<Repeatable>);
const VERSIONS: [(&str, Write); 3] =
    [("0.1.0", write_0_1_0), ("0.2.0-checksum", write_0_2_0), ("0.2.0-channels", write_0_2_0_channels)];

fn write_0_1_0(log: &mut DiskLog<Repeatable>) {
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
    log.append(&push(0, idempotency, b"headers", b"with a key"), crate::log::Purpose::Store).unwrap();
    log.append(&push(1, None, b"", &[]), crate::log::Purpose::Store).unwrap();
    log.committed(Sync::Now).unwrap();
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
        log.append(&record, crate::log::Purpose::Settle).unwrap();
    }
    log.committed(Sync::Later).unwrap();
}

fn write_0_2_0(log: &mut DiskLog<Repeatable>) {
    let idempotency = Idempotency { hash: 0xfeed, fingerprint: 0xbeef, expires_ms: 1_800_000_300_000 };
    let mut targets = Vec::new();
    Target { channel: 7, sequence: 0, expires_ms: Some(1_800_000_600_000) }.encode(&mut targets);
    Target { channel: 8, sequence: 5, expires_ms: None }.encode(&mut targets);
    let message = |targets, all: bool| Record::Message {
        targets,
        message_id: 0x0123_4567_89ab_cdef,
        enqueued_ms: 1_800_000_000_000,
        idempotency: Some(idempotency).filter(|_| all),
        due_ms: Some(1_800_000_001_000).filter(|_| all),
        group: Some("group").filter(|_| all),
        moved_from: Some((9, 3)).filter(|_| all),
        headers: b"headers",
        body: b"body",
    };
    log.append(&message(Targets::new(&targets), true), crate::log::Purpose::Store).unwrap();
    log.append(&message(Targets::new(&targets[..Target::BYTES]), false), crate::log::Purpose::Store).unwrap();
    log.committed(Sync::Now).unwrap();
    let dead = RecordedPhase::Dead { since_ms: 1_800_000_002_000, cause: 2, reason: "no such part" };
    for phase in [
        RecordedPhase::Ready(Ended::Expired),
        RecordedPhase::Delayed { until_ms: 1_800_000_003_000, ended: Ended::Released },
        RecordedPhase::Leased { ends_ms: 1_800_000_004_000 },
        dead,
    ] {
        let record = Record::State {
            channel: 7,
            sequence: 0,
            delivery: 2,
            uncounted: 1,
            start: 99,
            expires_ms: None,
            phase,
        };
        log.append(&record, crate::log::Purpose::Settle).unwrap();
    }
    log.append(&Record::Key { idempotency, message_id: 6 }, crate::log::Purpose::Settle).unwrap();
    log.committed(Sync::Later).unwrap();
}

fn write_0_2_0_channels(log: &mut DiskLog<Repeatable>) {
    let idempotency = Idempotency { hash: 0xfeed, fingerprint: 0xbeef, expires_ms: 1_800_000_300_000 };
    log.append(
        &Record::Channel { channel: 7, uid: 0xcafe, namespace: "acme", name: "orders" },
        crate::log::Purpose::Store,
    )
    .unwrap();
    log.append(&Record::ChannelKey { channel: 7, idempotency, message_id: 6 }, crate::log::Purpose::Store)
        .unwrap();
    log.committed(Sync::Now).unwrap();
    log.append(&Record::ChannelClosed { channel: 8, uid: 0xdead }, crate::log::Purpose::Settle).unwrap();
    log.committed(Sync::Later).unwrap();
}

fn write_to(folder: &Path, write: Write) {
    let storage = Repeatable(Folder::open(folder).unwrap());
    let mut log = DiskLog::open_in(storage, OPTIONS).unwrap();
    log.replayed(|_, record| panic!("{record:?} in a new log")).unwrap();
    write(&mut log);
}

/// Segments with records of every kind: from the fixtures, and from this version.
pub(super) fn segments() -> Vec<Vec<u8>> {
    let own = tempfile::tempdir().unwrap();
    write_to(own.path(), |log| {
        let clock = Record::Clock { own_ms: 5, wall_ms: 6, latest_ms: 7, boot_id: 8, boot_ns: 9 };
        log.append(&clock, crate::log::Purpose::Settle).unwrap();
        log.committed(Sync::Now).unwrap();
    });
    let versions = fs::read_dir(FIXTURES).unwrap().map(|version| version.unwrap().path().join("log"));
    let folders = versions.chain([own.path().to_owned()]);
    folders.map(|folder| fs::read(folder.join("00000001.seg")).unwrap()).collect()
}

fn read(folder: &Path) -> String {
    let mut text = String::new();
    let mut log = DiskLog::open(folder, OPTIONS).unwrap();
    let mut replayed = Vec::new();
    log.replayed(|position, head| replayed.push((position, format!("{:?}", head.record)))).unwrap();
    for (position, _) in replayed {
        let bytes = log.fetched(position).unwrap();
        text.push_str(&format!("{:?}\n", Record::decode(&bytes).unwrap()));
    }
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

/// The fixtures themselves never change. This checks that this version still writes the same bytes.
#[test]
fn this_version_writes_the_bytes_of_the_fixtures() {
    for (version, write) in VERSIONS {
        let folder = tempfile::tempdir().unwrap();
        write_to(folder.path(), write);
        let segment = fs::read(folder.path().join("00000001.seg")).unwrap();
        let expected = fs::read_to_string(Path::new(FIXTURES).join(version).join("log-records.txt"));
        assert_eq!(read(folder.path()), expected.unwrap_or_default(), "{version}");
        let fixture =
            fs::read(Path::new(FIXTURES).join(version).join("log/00000001.seg")).unwrap_or_default();
        if segment != fixture {
            write_to(&folder.path().join("again"), write);
            panic!(
                "{version}: the bytes differ; this version's are in {}",
                folder.keep().join("again").display()
            );
        }
    }
}
