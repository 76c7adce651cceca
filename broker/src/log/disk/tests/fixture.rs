//! Files of the released versions, which must always open, and of this one: `broker/tests/fixtures/VERSION/log` is the
//! folder of a log as that version left it when its process was killed; `log-records.txt` beside it lists its records.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

use crate::log::{
    ChannelId, Ended, Idempotency, Log, MovedFrom, ParcelId, ParcelNumber, Purpose, Record, RecordedPhase,
    RemovalCause, Sync, Target, Targets,
    conformance::BlockingLog,
    disk::{
        DiskLog, Options,
        storage::{Folder, Storage, Volume},
    },
};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
const NEWEST: &str = "1";
const SEGMENT: &str = "00000001.seg";
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

fn parcel(shard: u32, count: u64) -> ParcelId {
    ParcelId { shard, number: ParcelNumber { epoch: 3, count } }
}

/// Writes records of each kind, in two batches, the second one unsynced.
fn write(log: &mut DiskLog<Repeatable>) {
    let idempotency = Idempotency { hash: 0xfeed, fingerprint: 0xbeef, expires_ms: 1_800_000_300_000 };
    let mut targets = Vec::new();
    Target { channel: ChannelId(7), sequence: 0, expires_ms: Some(1_800_000_600_000) }.encode(&mut targets);
    Target { channel: ChannelId(8), sequence: 5, expires_ms: None }.encode(&mut targets);
    let message = |targets, all: bool| Record::Message {
        targets,
        parcel: Some(parcel(2, 5)).filter(|_| all),
        message_id: 0x0123_4567_89ab_cdef,
        enqueued_ms: 1_800_000_000_000,
        idempotency: Some(idempotency).filter(|_| all),
        due_ms: Some(1_800_000_001_000).filter(|_| all),
        group: Some("group").filter(|_| all),
        moved_from: Some(MovedFrom::Channel { channel: ChannelId(9), sequence: 3 }).filter(|_| all),
        headers: b"headers",
        body: b"body",
    };
    let state = |phase| Record::State {
        channel: ChannelId(7),
        sequence: 0,
        delivery: 2,
        uncounted: 1,
        start: 99,
        expires_ms: None,
        phase,
    };
    let copied = Record::Message {
        targets: Targets::new(&targets[Target::BYTES..]),
        parcel: None,
        message_id: 7,
        enqueued_ms: 1_800_000_000_000,
        idempotency: None,
        due_ms: None,
        group: None,
        moved_from: Some(MovedFrom::Parcel {
            parcel: parcel(1, 4),
            floor: ParcelNumber { epoch: 2, count: 9 },
        }),
        headers: b"",
        body: b"copied",
    };
    let mut append = |purpose, records: &[Record<'_>], sync| {
        for record in records {
            log.append(record, purpose).unwrap();
        }
        log.committed(sync).unwrap();
    };
    append(
        Purpose::Store,
        &[
            Record::Channel {
                channel: ChannelId(7),
                uid: 0xcafe,
                next_sequence: 6,
                namespace: "acme",
                name: "orders",
            },
            message(Targets::new(&targets), true),
            message(Targets::new(&targets[..Target::BYTES]), false),
        ],
        Sync::Now,
    );
    let (channel, sequence, ends_ms) = (ChannelId(7), 0, 1_800_000_030_000);
    append(
        Purpose::Settle,
        &[
            Record::Lease { channel, sequence, delivery: 1, uncounted: 0, start: 99, ends_ms },
            state(RecordedPhase::Ready(Ended::Expired)),
            state(RecordedPhase::Delayed { until_ms: 1_800_000_003_000, ended: Ended::Released }),
            state(RecordedPhase::Leased { ends_ms: 1_800_000_004_000 }),
            state(RecordedPhase::Dead { since_ms: 1_800_000_002_000, cause: 2, reason: "no such part" }),
            Record::Removed { channel, sequence: 1, cause: RemovalCause::Settled },
            Record::Removed { channel, sequence: 2, cause: RemovalCause::Expired },
            Record::Removed { channel, sequence: 3, cause: RemovalCause::Dropped },
            Record::Removed { channel, sequence: 4, cause: RemovalCause::Purged },
            Record::Removed { channel, sequence: 5, cause: RemovalCause::Moved },
            Record::ParcelDelivered { parcel: parcel(1, 4) },
            Record::ParcelFloor { shard: 1, floor: ParcelNumber { epoch: 3, count: 5 } },
            copied,
            Record::Key { channel, idempotency, message_id: 6 },
            Record::ChannelClosed { channel: ChannelId(8), uid: 0xdead },
            Record::Clock { own_ms: 5, wall_ms: 6, latest_ms: 7, boot_id: 8, boot_ns: 9 },
        ],
        Sync::Later,
    );
}

fn write_to(folder: &Path) {
    let storage = Repeatable(Folder::open(folder).unwrap());
    let mut log = DiskLog::open_in(storage, OPTIONS).unwrap();
    log.replayed(|_, record| panic!("{record:?} in a new log")).unwrap();
    write(&mut log);
}

/// A segment with records of every kind.
pub(super) fn segment() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    write_to(folder.path());
    fs::read(folder.path().join(SEGMENT)).unwrap()
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
fn the_log_of_each_fixture_opens() {
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

/// A fixture of a released version never changes. This checks that this version writes the same bytes as the newest.
#[test]
fn this_version_writes_the_bytes_of_the_newest_fixture() {
    let folder = tempfile::tempdir().unwrap();
    write_to(folder.path());
    let newest = Path::new(FIXTURES).join(NEWEST);
    let expected = fs::read_to_string(newest.join("log-records.txt")).unwrap_or_default();
    let written = fs::read(folder.path().join(SEGMENT)).unwrap();
    let records = read(folder.path());
    let is_same = written == fs::read(newest.join("log").join(SEGMENT)).unwrap_or_default();
    if !is_same || records != expected {
        let folder = folder.keep();
        fs::write(folder.join(SEGMENT), written).unwrap();
        fs::write(folder.join("log-records.txt"), records).unwrap();
        panic!("the bytes differ from {}; this version's are in {}", newest.display(), folder.display());
    }
}
