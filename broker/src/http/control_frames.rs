//! Limits the rate of an HTTP/2 peer's control frames, which cost the broker more than the peer: SETTINGS, PING,
//! PRIORITY, empty DATA (CVE-2019-9512, -9515, -9513, -9518), and WINDOW_UPDATE beyond what the peer was sent
//! (CVE-2019-9511).

use std::time::Duration;

use tokio::time::Instant;

/// How many frames may come at once, and how many more each second: the values of nghttp2's limit of glitches.
const FRAMES_AT_ONCE: u64 = 1000;
const FRAMES_PER_SECOND: u64 = 33;
/// The number of bytes written to a peer that allow it one WINDOW_UPDATE: well below the windows of clients.
const BYTES_PER_UPDATE: u64 = 1024;

/// The size of the client's connection preface (RFC 9113 section 3.4).
const PREFACE_BYTES: usize = 24;
/// The size of a frame's head: length, type, flags and stream (RFC 9113 section 4.1).
const HEAD_BYTES: usize = 9;

/// Parses the heads of the frames of one connection and counts control frames.
#[derive(Debug)]
pub(super) struct ControlFrames {
    /// The number of bytes before the next head: of the preface, or of a payload.
    skip: usize,
    head: [u8; HEAD_BYTES],
    /// The number of bytes in `head`.
    head_bytes: usize,
    /// The number of control frames that are still allowed.
    left: u64,
    /// The same for WINDOW_UPDATE.
    updates_left: u64,
    written: u64,
    refilled: Instant,
}

/// The limit of control frames is exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the HTTP/2 peer floods the connection with control frames")]
pub(super) struct Flood;

impl ControlFrames {
    /// The state at the start of a connection.
    pub(super) fn new() -> Self {
        Self {
            skip: PREFACE_BYTES,
            head: [0; HEAD_BYTES],
            head_bytes: 0,
            left: FRAMES_AT_ONCE,
            updates_left: FRAMES_AT_ONCE,
            written: 0,
            refilled: Instant::now(),
        }
    }

    /// Records bytes that were sent to the peer.
    pub(super) fn wrote(&mut self, bytes: usize) {
        self.written += bytes as u64;
        self.updates_left += self.written / BYTES_PER_UPDATE;
        self.written %= BYTES_PER_UPDATE;
    }

    /// Parses bytes that the peer sent.
    pub(super) fn read(&mut self, mut bytes: &[u8]) -> Result<(), Flood> {
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            let missing = (HEAD_BYTES - self.head_bytes).min(bytes.len());
            if missing == 0 {
                return Ok(());
            }
            self.head[self.head_bytes..self.head_bytes + missing].copy_from_slice(&bytes[..missing]);
            self.head_bytes += missing;
            bytes = &bytes[missing..];
            if self.head_bytes == HEAD_BYTES {
                self.head_bytes = 0;
                self.frame()?;
            }
        }
    }

    fn frame(&mut self) -> Result<(), Flood> {
        let [a, b, c, kind, flags, ..] = self.head;
        self.skip = u32::from_be_bytes([0, a, b, c]) as usize;
        let is_counted = match kind {
            // DATA counts if it is empty and does not end its stream.
            0 => self.skip == 0 && flags & 1 == 0,
            // HEADERS, RST_STREAM and CONTINUATION have limits of their own.
            1 | 3 | 9 => false,
            _ => true,
        };
        if !is_counted {
            return Ok(());
        }
        if self.left == 0 || self.updates_left == 0 {
            self.refill();
        }
        // WINDOW_UPDATE
        let left = if kind == 8 { &mut self.updates_left } else { &mut self.left };
        *left = left.checked_sub(1).ok_or(Flood)?;
        Ok(())
    }

    fn refill(&mut self) {
        let seconds = self.refilled.elapsed().as_secs();
        if seconds > 0 {
            self.refilled += Duration::from_secs(seconds);
            let more = seconds.saturating_mul(FRAMES_PER_SECOND);
            self.left = (self.left + more).min(FRAMES_AT_ONCE);
            self.updates_left = self.updates_left.max((self.updates_left + more).min(FRAMES_AT_ONCE));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags, 0, 0, 0, 1]);
        frame.extend(payload);
        frame
    }

    fn connection() -> ControlFrames {
        let mut frames = ControlFrames::new();
        frames.read(&[0; PREFACE_BYTES]).unwrap();
        frames
    }

    #[test]
    fn a_flood_of_any_control_frame_is_detected_in_reads_of_any_size() {
        for (kind, payload) in
            [(4, &[0; 6][..]), (6, &[0; 8]), (2, &[0; 5]), (8, &[0; 4]), (0, &[]), (77, &[1])]
        {
            let flood = frame(kind, 0, payload).repeat(FRAMES_AT_ONCE as usize + 1);
            for piece in [1, 7, 4096, flood.len()] {
                let mut frames = connection();
                let noticed = flood.chunks(piece).any(|piece| frames.read(piece).is_err());
                assert!(noticed, "frames of type {kind} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn requests_and_their_bodies_are_not_control_frames() {
        let mut frames = connection();
        for _ in 0..10 * FRAMES_AT_ONCE {
            frames.read(&frame(1, 4, b"headers")).unwrap();
            frames.read(&frame(0, 0, b"body")).unwrap();
            frames.read(&frame(0, 1, b"")).unwrap();
        }
    }

    #[test]
    fn a_peer_that_receives_much_may_update_its_windows_often() {
        let mut frames = connection();
        frames.wrote(100 << 20);
        for _ in 0..100_000 {
            frames.read(&frame(8, 0, &[0; 4])).unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_pings_occasionally_is_never_refused() {
        let mut frames = connection();
        for _ in 0..10_000 {
            frames.read(&frame(6, 0, &[0; 8])).unwrap();
            advance(Duration::from_millis(50)).await;
        }
    }
}
