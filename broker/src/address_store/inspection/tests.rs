//! A disk that cannot read a part of a file.

use rustix::io::Errno;

use super::*;
use crate::address_store::journal::{FORMAT, Head};

/// A file whose first bytes are readable and whose other bytes are not.
struct Failing {
    whole: io::Cursor<Vec<u8>>,
    readable: u64,
}

impl Read for Failing {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let left = self.readable.saturating_sub(self.whole.position()).min(bytes.len() as u64);
        if left == 0 {
            return Err(Errno::IO.into());
        }
        self.whole.read(&mut bytes[..left as usize])
    }
}

impl Seek for Failing {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.whole.seek(to)
    }
}

#[test]
fn entries_before_an_unreadable_part_of_the_journal_count_and_a_start_reports_the_disk() {
    let folder = Path::new("addresses");
    let mut bytes = Vec::new();
    frame::encode(
        0,
        &journal::payload(&Record::Head(Head { format: FORMAT, generation: 0, id: None })),
        &mut bytes,
    );
    frame::encode(1, &journal::payload(&Record::Changes(vec![Change::Synced(7)])), &mut bytes);
    let readable = bytes.len() as u64;
    frame::encode(2, &journal::payload(&Record::Changes(vec![Change::Synced(8)])), &mut bytes);
    let length = bytes.len() as u64;
    let mut inspected = InspectedStore::default();
    let mut file = Failing { whole: io::Cursor::new(bytes), readable };
    inspected.read(&folder.join(JOURNAL), JOURNAL, &mut file, length).unwrap();
    let [damage] = &inspected.damage[..] else { panic!("{:?}", inspected.damage) };
    assert_eq!(
        (damage.file, &damage.bytes, inspected.contents.synced_at),
        (JOURNAL, &(readable..length), Some(7))
    );
    assert!(damage.reason.contains("the disk cannot read it"), "{damage:?}");
    let Err(OpenError::Io { path, source, .. }) = inspected.require_undamaged(folder) else {
        panic!("a start must fail")
    };
    assert_eq!((path, source.raw_os_error()), (folder.join(JOURNAL), Some(5)));
}
