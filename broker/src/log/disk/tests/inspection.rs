//! An inspection and a start find the same log: damage that an inspection reports is refused by a start, and without
//! damage both find the same records.

use std::{cell::Cell, fs, ops::Range, path::Path};

use proptest::{
    prelude::{Just, Strategy, prop_oneof},
    test_runner::{Config, TestRunner},
};

use super::owner::{SEGMENT, body};
use crate::log::{
    ChannelId, DiskLog, EncodedTarget, Log, Options, Record, Sync,
    conformance::BlockingLog,
    disk::inspection::{Damage, DamageKind, LogInspection, inspect},
};

const OPTIONS: Options = Options { segment_bytes: SEGMENT };
/// Enough for several segments. The last two batches are not known to be on disk.
const MESSAGES: u64 = 200;

fn written(folder: &Path) {
    let mut log = DiskLog::open(folder, OPTIONS).unwrap();
    log.replayed(|_, record| panic!("{record:?} in a new log")).unwrap();
    for sequence in 1..=MESSAGES {
        let body = body(sequence);
        log.append(&EncodedTarget::of(ChannelId(1), sequence).message(&body), crate::log::Purpose::Store)
            .unwrap();
        log.committed(if sequence + 2 > MESSAGES { Sync::Later } else { Sync::Now }).unwrap();
    }
}

/// Sequences in the order of the records.
fn found_sequences(inspection: &LogInspection) -> Vec<u64> {
    let mut sequences = Vec::new();
    let unreadable = inspection.records(|seen, record| match record {
        Record::Message { targets, body: found, .. } => {
            let sequence = targets.first().sequence;
            assert!(seen.unread.is_some() || *found == body(sequence));
            sequences.push(sequence);
        }
        other => panic!("unexpected record {other:?}"),
    });
    assert_eq!(unreadable.unwrap(), []);
    sequences
}

fn opened(folder: &Path) -> Option<Vec<u64>> {
    let mut log = DiskLog::open(folder, OPTIONS).ok()?;
    let mut sequences = Vec::new();
    let replayed = log.replayed(|_, head| {
        if let Record::Message { targets, .. } = head.record {
            sequences.push(targets.first().sequence);
        }
    });
    replayed.unwrap();
    Some(sequences)
}

/// A copy without indexes, which would hide damage from a start.
fn copied(from: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    let files = fs::read_dir(from).unwrap().map(|file| file.unwrap());
    for file in files.filter(|file| file.path().extension().is_none_or(|extension| extension != "idx")) {
        fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    copy
}

#[derive(Debug, Clone)]
enum Corruption {
    Flipped(Range<usize>),
    Zeroed(Range<usize>),
    Truncated(usize),
    /// Inverts the last bytes that are not zeros.
    Torn(usize),
}

impl Corruption {
    fn to(&self, bytes: &mut Vec<u8>) {
        let within = |range: &Range<usize>| range.start.min(bytes.len())..range.end.min(bytes.len());
        match self {
            Self::Flipped(range) => {
                let range = within(range);
                bytes[range].iter_mut().for_each(|byte| *byte = !*byte);
            }
            Self::Zeroed(range) => {
                let range = within(range);
                bytes[range].fill(0);
            }
            Self::Truncated(length) => bytes.truncate(*length),
            Self::Torn(length) => {
                let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
                bytes[end.saturating_sub(*length)..end].iter_mut().for_each(|byte| *byte = !*byte);
            }
        }
    }
}

fn corruption() -> impl Strategy<Value = Corruption> {
    let start = prop_oneof![0..200_usize, 0..SEGMENT as usize];
    let range = (start, prop_oneof![Just(1), 1..5000_usize]).prop_map(|(from, length)| from..from + length);
    prop_oneof![
        4 => range.clone().prop_map(Corruption::Flipped),
        2 => range.prop_map(Corruption::Zeroed),
        1 => (0..SEGMENT as usize).prop_map(Corruption::Truncated),
        2 => (1..100_usize).prop_map(Corruption::Torn),
    ]
}

/// Damage with which a start still opens the log: it reads no contents.
fn is_of_contents(damage: &Damage) -> bool {
    matches!(damage.what, DamageKind::Content { .. } | DamageKind::Indexed)
}

#[test]
fn an_inspection_reports_damage_beyond_contents_if_and_only_if_a_start_refuses_the_log() {
    let whole = tempfile::tempdir().unwrap();
    written(whole.path());
    let inspection = inspect(whole.path(), 0).unwrap();
    assert_eq!((inspection.damage(), found_sequences(&inspection).len()), (&[][..], MESSAGES as usize));
    assert!(inspection.unsynced().0 > 0 && inspection.torn_tail().is_none());
    let files: Vec<_> = inspection.segments().into_iter().map(|segment| segment.file).collect();
    assert!(files.len() > 4);
    let (refused, cut, unread) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(120) });
    // Only the newest segment may be torn.
    let newest = files.last().cloned().unwrap();
    let file = prop_oneof![Just(newest.clone()), proptest::sample::select(files)];
    let outcome = runner.run(&(file, corruption()), |(file, corruption)| {
        let copy = copied(whole.path());
        let path = copy.path().join(&file);
        let mut bytes = fs::read(&path).unwrap();
        corruption.to(&mut bytes);
        fs::write(&path, bytes).unwrap();
        let inspection = inspect(copy.path(), 0).unwrap();
        let found = found_sequences(&inspection);
        let again = opened(copy.path());
        assert_eq!(
            inspection.damage().iter().all(is_of_contents),
            again.is_some(),
            "{file} {corruption:?}: {:?}",
            inspection.damage()
        );
        match again {
            Some(again) => {
                assert_eq!(found, again, "{file} {corruption:?}");
                cut.set(cut.get() + u32::from(again.len() < MESSAGES as usize));
                unread.set(unread.get() + u32::from(!inspection.damage().is_empty()));
            }
            None => {
                refused.set(refused.get() + 1);
                // Frames of a lost file are missing after the previous file.
                let is_gone =
                    |damage: &Damage| matches!(damage.what, DamageKind::FramesOrFile | DamageKind::File);
                let named = |damage: &Damage| damage.file == file || is_gone(damage);
                assert!(
                    inspection.damage().iter().all(named),
                    "{file} {corruption:?}: {:?}",
                    inspection.damage()
                );
                // If its head and every frame that is known to be on disk are zeroed, a segment looks like a spare.
                let is_named = inspection.damage().iter().any(|damage| damage.file == file);
                let may_be_a_spare = file == newest && inspection.damage().iter().any(is_gone);
                assert!(is_named || may_be_a_spare, "{file} {corruption:?}: {:?}", inspection.damage());
            }
        }
        Ok(())
    });
    outcome.unwrap();
    assert!(
        refused.get() > 20 && cut.get() > 3 && unread.get() > 3,
        "{refused:?} refused, {cut:?} cut, {unread:?} with unreadable contents"
    );
}

#[test]
fn the_frames_of_a_newest_segment_with_a_zeroed_head_are_found() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path());
    let segments = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path());
    let segments = segments.filter(|path| path.extension().is_some_and(|extension| extension == "seg"));
    let epoch = |bytes: &[u8]| u64::from_le_bytes(bytes[16..24].try_into().unwrap());
    let newest = segments.max_by_key(|path| epoch(&fs::read(path).unwrap())).unwrap();
    let mut bytes = fs::read(&newest).unwrap();
    bytes[..4096].fill(0);
    fs::write(newest, bytes).unwrap();
    let inspection = inspect(folder.path(), 0).unwrap();
    assert_eq!(found_sequences(&inspection), (1..=MESSAGES).collect::<Vec<_>>());
}

#[test]
fn frames_in_a_body_are_not_mistaken_for_frames_of_a_segment_without_a_head() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path());
    let inspection = inspect(folder.path(), 0).unwrap();
    let [first, second, ..] = &inspection.segments()[..] else { panic!("several segments") };
    // The second segment's file as a body in the first one: intact, with another mark.
    let mut bytes = fs::read(folder.path().join(&first.file)).unwrap();
    let stolen = fs::read(folder.path().join(&second.file)).unwrap();
    let (middle, room) = (bytes.len() / 2, 8192);
    bytes[middle..middle + room].copy_from_slice(&stolen[4096..4096 + room]);
    bytes[20] ^= 1;
    fs::write(folder.path().join(&first.file), bytes).unwrap();
    let inspection = inspect(folder.path(), 0).unwrap();
    assert!(inspection.damage().iter().any(|damage| matches!(damage.what, DamageKind::Head { kept: true })));
    let found = found_sequences(&inspection);
    assert!(found.is_sorted(), "each message once, in order: {found:?}");
}

#[test]
fn a_torn_index_is_no_damage_wherever_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path());
    let files = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path());
    let index =
        files.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "idx")).unwrap();
    let whole = fs::read(&index).unwrap();
    for end in [0, 1, 95, 96, whole.len() - 1] {
        fs::write(&index, &whole[..end]).unwrap();
        let inspection = inspect(folder.path(), 0).unwrap();
        assert_eq!(inspection.damage(), [], "it ends after {end} bytes");
        assert_eq!(found_sequences(&inspection).len(), MESSAGES as usize, "it ends after {end} bytes");
    }
}
