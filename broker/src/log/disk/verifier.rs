//! Verification of a segment whose bytes arrive in pieces, for example from a backup. However long a frame is, only its
//! head is kept in memory.

use super::{
    frame::Sum,
    segment::{self, FIELDS, FileKind},
};

/// Verifies a segment from its first byte to its last.
///
/// After a damaged frame, it continues at the place given by the frame's own length, if the next frame starts there: no
/// other bytes have the segment's mark and the next number.
pub(crate) struct SegmentVerifier {
    /// Number of bytes so far.
    at: u64,
    expects: Expects,
    /// The first bytes of an incomplete head.
    part: Vec<u8>,
    /// The number of the next frame, after the first one.
    number: Option<u64>,
    /// Offsets of damaged frames, in order.
    broken: Vec<u64>,
    /// Whether the end of the last damaged frame is not confirmed by a following frame.
    is_open: bool,
}

/// A damaged frame of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BrokenFrame {
    pub(crate) offset: u64,
    /// Whether the rest of the segment could not be verified.
    pub(crate) rest: bool,
}

/// The expected next bytes.
enum Expects {
    SegmentHead,
    /// Padding to skip, then the head of a frame with this mark.
    FrameHead {
        mark: u64,
        skip: u64,
    },
    /// The records of the frame at `begins`.
    Records {
        mark: u64,
        begins: u64,
        sum: Sum,
    },
    /// The start of the next frame is unknown. The rest is not verified.
    Nothing,
}

impl SegmentVerifier {
    /// Starts before the first byte.
    pub(crate) fn begin() -> Self {
        Self {
            at: 0,
            expects: Expects::SegmentHead,
            part: Vec::new(),
            number: None,
            broken: Vec::new(),
            is_open: false,
        }
    }

    /// Verifies the next bytes.
    pub(crate) fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let taken = self.step(bytes);
            self.at += taken as u64;
            bytes = &bytes[taken..];
        }
    }

    /// The damaged frames, after all bytes were taken. A damaged head of the segment counts as a frame.
    pub(crate) fn end(mut self) -> Vec<BrokenFrame> {
        match self.expects {
            // The last frame ends with the segment.
            Expects::FrameHead { skip: 0, .. } if self.part.is_empty() => self.is_open = false,
            Expects::FrameHead { .. } if self.part.is_empty() => {}
            Expects::FrameHead { .. } => self.break_off(self.at - self.part.len() as u64),
            Expects::SegmentHead => self.break_off(0),
            Expects::Records { begins, .. } => self.break_off(begins),
            Expects::Nothing => {}
        }
        let last = self.broken.len().saturating_sub(1);
        let broken = |(index, offset)| BrokenFrame { offset, rest: self.is_open && index == last };
        self.broken.into_iter().enumerate().map(broken).collect()
    }

    /// Stops verifying. The rest is unknown from `at` on, or from the last damaged frame on if its length led here.
    fn break_off(&mut self, at: u64) {
        if !self.is_open {
            self.broken.push(at);
        }
        self.is_open = true;
        self.expects = Expects::Nothing;
    }

    /// Uses some of the bytes, at least one.
    fn step(&mut self, bytes: &[u8]) -> usize {
        match &mut self.expects {
            Expects::SegmentHead => {
                self.gather(bytes, |verifier, fields, _| match segment::parse_head(fields) {
                    FileKind::Segment(head) => {
                        let skip = segment::HEAD_BYTES - FIELDS as u64;
                        verifier.expects = Expects::FrameHead { mark: head.mark, skip };
                    }
                    FileKind::Spare | FileKind::Damaged | FileKind::Other(_) => verifier.break_off(0),
                })
            }
            Expects::FrameHead { skip, .. } if *skip > 0 => {
                let taken = bytes.len().min(usize::try_from(*skip).unwrap_or(usize::MAX));
                *skip -= taken as u64;
                taken
            }
            Expects::FrameHead { mark, .. } => {
                let mark = *mark;
                self.gather(bytes, |verifier, head, begins| {
                    let sum = Sum::begin(head, mark);
                    match sum.filter(|sum| verifier.number.is_none_or(|number| number == sum.number())) {
                        None => verifier.break_off(begins),
                        Some(sum) => {
                            verifier.is_open = false;
                            verifier.number = Some(sum.number() + 1);
                            verifier.after(mark, begins, sum);
                        }
                    }
                })
            }
            Expects::Records { mark, begins, sum } => {
                let taken = sum.take(bytes);
                let (mark, begins, sum) = (*mark, *begins, *sum);
                self.after(mark, begins, sum);
                taken
            }
            Expects::Nothing => bytes.len(),
        }
    }

    /// Collects the bytes of a head, and calls `next` with the complete head.
    fn gather<const LENGTH: usize>(
        &mut self,
        bytes: &[u8],
        next: impl FnOnce(&mut Self, &[u8; LENGTH], u64),
    ) -> usize {
        let taken = bytes.len().min(LENGTH - self.part.len());
        self.part.extend_from_slice(&bytes[..taken]);
        if let Some(head) = self.part.first_chunk().copied() {
            self.part.clear();
            next(self, &head, self.at + taken as u64 - LENGTH as u64);
        }
        taken
    }

    /// Continues after some of a frame's records.
    fn after(&mut self, mark: u64, begins: u64, sum: Sum) {
        if sum.remaining() > 0 {
            self.expects = Expects::Records { mark, begins, sum };
            return;
        }
        if !sum.matches() {
            self.broken.push(begins);
            self.is_open = true;
        }
        self.expects = Expects::FrameHead { mark, skip: sum.padding() };
    }
}

#[cfg(test)]
mod tests {
    use super::{super::frame, *};

    /// A segment whose frames have records of these lengths, and the offsets of the frames.
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

    fn broken(bytes: &[u8], piece: usize) -> Vec<BrokenFrame> {
        let mut verifier = SegmentVerifier::begin();
        bytes.chunks(piece).for_each(|piece| verifier.take(piece));
        verifier.end()
    }

    /// A single damaged frame, or everything from it on.
    fn at(offset: u64, rest: bool) -> Vec<BrokenFrame> {
        vec![BrokenFrame { offset, rest }]
    }

    #[test]
    fn an_intact_segment_is_accepted_in_pieces_of_any_size() {
        for lengths in [&[][..], &[1], &[8, 1, 300, 0]] {
            let (bytes, _) = segment(lengths);
            for piece in [1, 7, 56, 4096, 1 << 20] {
                assert_eq!(broken(&bytes, piece), [], "{lengths:?} in pieces of {piece}");
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
                let found = broken(&changed, 64);
                assert_eq!(found.first().map(|broken| broken.offset), Some(*frame), "byte {at}");
                assert_eq!(found.len(), 1, "byte {at}");
            }
        }
    }

    #[test]
    fn each_frame_with_changed_records_is_named_and_the_frames_between_are_not() {
        let (bytes, begins) = segment(&[8, 1, 300, 20, 5]);
        let mut changed = bytes.clone();
        for frame in [0, 2, 3] {
            changed[begins[frame] as usize + frame::HEAD_BYTES] ^= 4;
        }
        let named: Vec<_> = [0, 2, 3].iter().flat_map(|frame| at(begins[*frame], false)).collect();
        for piece in [1, 7, 64, 1 << 20] {
            assert_eq!(broken(&changed, piece), named, "in pieces of {piece}");
        }
        changed[begins[4] as usize + frame::HEAD_BYTES] ^= 4;
        assert_eq!(broken(&changed, 64), [named, at(begins[4], false)].concat());
    }

    #[test]
    fn after_a_frame_with_a_changed_length_nothing_is_verified() {
        let (bytes, begins) = segment(&[8, 8, 8, 8, 8]);
        // Into the records; to the start of the frame after the next one; beyond the end.
        for length in [16_u32, 8 + 40, 1 << 20] {
            let mut changed = bytes.clone();
            changed[begins[1] as usize..][..4].copy_from_slice(&length.to_le_bytes());
            changed[begins[4] as usize + frame::HEAD_BYTES] ^= 4;
            assert_eq!(broken(&changed, 64), at(begins[1], true), "length {length}");
        }
    }

    #[test]
    fn a_segment_that_ends_within_a_frame_is_damaged_there() {
        let (bytes, begins) = segment(&[8, 1, 300]);
        for end in begins[2] + 1..bytes.len() as u64 - 4 {
            assert_eq!(broken(&bytes[..end as usize], 64), at(begins[2], true), "end {end}");
        }
    }

    #[test]
    fn a_file_without_a_segment_head_is_damaged_at_its_start() {
        assert_eq!(broken(&[0; 8192], 64), at(0, true));
        assert_eq!(broken(&[], 64), at(0, true));
    }
}
