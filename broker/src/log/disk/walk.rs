//! The frames of a segment whose bytes come one piece after another, such as out of a backup: whether each is as it was written.
//! However long a frame is, only its head is kept.

use super::{
    frame::Sum,
    segment::{self, FIELDS, FileKind},
};

/// A segment that is looked at from its first byte to its last.
pub(crate) struct Walk {
    /// Bytes so far.
    at: u64,
    expects: Expects,
    /// What begins a head and does not end it.
    part: Vec<u8>,
}

/// What comes next.
enum Expects {
    SegmentHead,
    /// So many bytes of no meaning, and then the head of a frame with this mark.
    FrameHead {
        mark: u64,
        skip: u64,
    },
    /// The records of the frame that begins there.
    Records {
        mark: u64,
        begins: u64,
        sum: Sum,
    },
    /// There is a frame that is not as it was written. Whatever follows is not looked at.
    Nothing {
        broken_at: u64,
    },
}

impl Walk {
    /// Before the first byte.
    pub(crate) fn begin() -> Self {
        Self { at: 0, expects: Expects::SegmentHead, part: Vec::new() }
    }

    /// Looks at the next bytes.
    pub(crate) fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let taken = self.step(bytes);
            self.at += taken as u64;
            bytes = &bytes[taken..];
        }
    }

    /// Where the first frame begins that is not as it was written, or the head of the segment, once all bytes were taken.
    pub(crate) fn broken_at(&self) -> Option<u64> {
        match &self.expects {
            Expects::FrameHead { .. } if self.part.is_empty() => None,
            Expects::FrameHead { .. } => Some(self.at - self.part.len() as u64),
            Expects::SegmentHead => Some(0),
            Expects::Records { begins: at, .. } | Expects::Nothing { broken_at: at } => Some(*at),
        }
    }

    /// Takes some of the bytes, one at least.
    fn step(&mut self, bytes: &[u8]) -> usize {
        match &mut self.expects {
            Expects::SegmentHead => self.gather(bytes, |fields, _| match segment::parse_head(fields) {
                FileKind::Segment(head) => {
                    let skip = segment::HEAD_BYTES - FIELDS as u64;
                    Expects::FrameHead { mark: head.mark, skip }
                }
                FileKind::Spare | FileKind::Damaged | FileKind::Other(_) => Expects::Nothing { broken_at: 0 },
            }),
            Expects::FrameHead { skip, .. } if *skip > 0 => {
                let taken = bytes.len().min(usize::try_from(*skip).unwrap_or(usize::MAX));
                *skip -= taken as u64;
                taken
            }
            Expects::FrameHead { mark, .. } => {
                let mark = *mark;
                self.gather(bytes, |head, begins| {
                    Sum::begin(head, mark)
                        .map_or(Expects::Nothing { broken_at: begins }, |sum| after(mark, begins, sum))
                })
            }
            Expects::Records { mark, begins, sum } => {
                let taken = sum.take(bytes);
                self.expects = after(*mark, *begins, *sum);
                taken
            }
            Expects::Nothing { .. } => bytes.len(),
        }
    }

    /// Gathers a head, and goes on with what it says.
    fn gather<const LENGTH: usize>(
        &mut self,
        bytes: &[u8],
        next: impl FnOnce(&[u8; LENGTH], u64) -> Expects,
    ) -> usize {
        let taken = bytes.len().min(LENGTH - self.part.len());
        self.part.extend_from_slice(&bytes[..taken]);
        if let Some(head) = self.part.first_chunk() {
            self.expects = next(head, self.at + taken as u64 - LENGTH as u64);
            self.part.clear();
        }
        taken
    }
}

/// What comes after some of a frame's records.
fn after(mark: u64, begins: u64, sum: Sum) -> Expects {
    match sum.left() {
        1.. => Expects::Records { mark, begins, sum },
        0 if sum.matches() => Expects::FrameHead { mark, skip: sum.padding() },
        0 => Expects::Nothing { broken_at: begins },
    }
}

#[cfg(test)]
mod tests {
    use super::{super::frame, *};

    /// A segment with frames of these lengths, by their records.
    fn segment(lengths: &[usize]) -> (Vec<u8>, Vec<u64>) {
        let head = segment::Head { epoch: 1, first_frame: 1, mark: 7, bytes: 1 << 20, log: 5 };
        let (mut bytes, mut begins) = (head.encode().to_vec(), Vec::new());
        for (number, length) in (1..).zip(lengths) {
            let mut frame = vec![0; frame::HEAD_BYTES];
            frame.resize(frame::HEAD_BYTES + length, number as u8);
            frame::seal(&mut frame, 7, number, 1);
            begins.push(bytes.len() as u64);
            bytes.extend(frame);
        }
        (bytes, begins)
    }

    fn broken_at(bytes: &[u8], piece: usize) -> Option<u64> {
        let mut walk = Walk::begin();
        bytes.chunks(piece).for_each(|piece| walk.take(piece));
        walk.broken_at()
    }

    #[test]
    fn a_segment_as_it_was_written_is_whole_in_whatever_pieces_it_comes() {
        for lengths in [&[][..], &[1], &[8, 1, 300, 0]] {
            let (bytes, _) = segment(lengths);
            for piece in [1, 7, 56, 4096, 1 << 20] {
                assert_eq!(broken_at(&bytes, piece), None, "{lengths:?} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn the_frame_with_a_changed_bit_is_named() {
        let (bytes, begins) = segment(&[8, 1, 300]);
        for (frame, length) in begins.iter().zip([8, 1, 300]) {
            for at in *frame..frame + frame::HEAD_BYTES as u64 + length {
                let mut changed = bytes.clone();
                changed[at as usize] ^= 4;
                assert_eq!(broken_at(&changed, 64), Some(*frame), "byte {at}");
            }
        }
    }

    #[test]
    fn a_segment_that_ends_within_a_frame_is_broken_there() {
        let (bytes, begins) = segment(&[8, 1, 300]);
        for end in begins[2] + 1..bytes.len() as u64 - 4 {
            assert_eq!(broken_at(&bytes[..end as usize], 64), Some(begins[2]), "end {end}");
        }
    }

    #[test]
    fn a_file_without_the_head_of_a_segment_is_broken_at_its_begin() {
        assert_eq!(broken_at(&[0; 8192], 64), Some(0));
        assert_eq!(broken_at(&[], 64), Some(0));
    }
}
