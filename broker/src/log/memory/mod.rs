//! A log in memory for tests that behaves like a replicated stream of batches. Several batches are in flight. Their
//! parts arrive at the server with the numbers that they must have there; answers get lost, and come late and in any
//! order. Time is counted in polls, so that no test sleeps.

mod place;
mod stream;

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    ops::Range,
    path::PathBuf,
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{
    AppendError, BatchNumber, Log, LogError, LogStats, Position, Purpose, Read, Record, RecordHead,
    ReplayVisitor, Replayed, Scanned, Sync, contract::counts_as_live,
};
use place::{PART_BYTES, RECORD_MAX, StreamPlace};
pub(crate) use stream::Stream;
use stream::{Answer, Element, StoredBatch, WINDOW};

/// Batches that may be in flight.
const IN_FLIGHT_MAX: usize = 8;
/// From this number of batches on, the older half is worth freeing if less than half of all bytes is needed.
const BATCHES_WORTH_FREEING: usize = 16;

/// A batch on its way.
struct Request {
    number: BatchNumber,
    /// The sequence of its first part.
    first: u64,
    bytes: Bytes,
    /// Which parts are known to be stored.
    stored: Vec<bool>,
}

impl Request {
    fn is_stored(&self) -> bool {
        self.stored.iter().all(|stored| *stored)
    }

    /// The sequences of all parts that are not known to be stored.
    fn unknown(&self) -> impl Iterator<Item = u64> {
        (self.first..).zip(&self.stored).filter(|(_, stored)| !**stored).map(|(sequence, _)| sequence)
    }

    fn has(&self, sequence: u64) -> bool {
        (self.first..self.first + self.stored.len() as u64).contains(&sequence)
    }

    fn part(&self, sequence: u64, owner: u64) -> Element {
        let index = (sequence - self.first) as usize;
        let end = self.bytes.len().min((index + 1) * PART_BYTES);
        let bytes = self.bytes.slice(index * PART_BYTES..end);
        Element::Part { owner, is_first: index == 0, is_last: index + 1 == self.stored.len(), bytes }
    }
}

/// Why the log has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Fenced,
    Failed,
    /// The failure was returned.
    Poisoned,
}

pub(crate) struct MemoryLog {
    stream: Stream,
    /// The number of this owner.
    owner: u64,
    open: Vec<u8>,
    /// The sequence of the open batch's first part.
    first: u64,
    newest: BatchNumber,
    in_flight: VecDeque<Request>,
    /// Needed bytes, by part.
    live: BTreeMap<u64, u64>,
    /// Sequences of earlier owners that are not replayed yet.
    unreplayed: Range<u64>,
    end: Option<End>,
    poisoned: bool,
}

impl MemoryLog {
    /// Takes over a stream: from now on it rejects the batches of earlier owners.
    pub(crate) fn open(stream: &Stream) -> Self {
        let (owner, last) = stream.take_over();
        Self {
            stream: stream.clone(),
            owner,
            open: Vec::new(),
            first: last + 1,
            newest: BatchNumber::default(),
            in_flight: VecDeque::new(),
            live: BTreeMap::new(),
            unreplayed: 0..last,
            end: None,
            poisoned: false,
        }
    }

    /// The bytes of a record: in the open batch, in flight or in the stream.
    fn bytes_at(&self, place: StreamPlace) -> Option<Bytes> {
        let length = place.length as usize;
        if place.sequence >= self.first {
            let offset = place.offset_from(self.first);
            return self.open.get(offset..offset + length).map(Bytes::copy_from_slice);
        }
        match self.in_flight.iter().find(|request| request.has(place.sequence)) {
            Some(request) => {
                let offset = place.offset_from(request.first);
                (offset + length <= request.bytes.len()).then(|| request.bytes.slice(offset..offset + length))
            }
            None => self.stream.read(place.sequence, place.offset as usize, length),
        }
    }

    /// One part on its way arrives at the server, perhaps not for the first time, and perhaps its answer at the owner.
    fn send(&mut self) {
        let mut unknown = self.in_flight.iter().flat_map(Request::unknown);
        let Some(oldest) = unknown.next() else { return };
        // The window is a span: stored parts behind the oldest unknown one do not widen it.
        let others: Vec<u64> = unknown.take_while(|sequence| *sequence < oldest + WINDOW).collect();
        let chance = self.stream.chance(2 + 2 * others.len() as u64) as usize;
        let sequence = others.get(chance).copied().unwrap_or(oldest);
        let is_lost = self.stream.chance(4) == 0;
        let request = self.in_flight.iter_mut().find(|request| request.has(sequence));
        let request = request.expect("the part belongs to a batch in flight");
        let answer = self.stream.append(sequence, request.part(sequence, self.owner));
        match answer {
            _ if is_lost => {}
            Answer::Stored => request.stored[(sequence - request.first) as usize] = true,
            Answer::Early => {}
            Answer::Taken => self.end = Some(End::Fenced),
            Answer::Failed => self.end = Some(End::Failed),
        }
    }

    /// The outcome of a batch: known, or unknown for ever.
    fn outcome(&mut self, index: usize) -> Option<Result<Sync, LogError>> {
        if self.in_flight[index].is_stored() {
            return Some(Ok(Sync::Now));
        }
        Some(Err(match self.end? {
            End::Fenced => LogError::Fenced,
            End::Failed => {
                self.end = Some(End::Poisoned);
                let source = io::ErrorKind::ConnectionReset.into();
                LogError::Io { action: "append to", file: PathBuf::from("memory"), source }
            }
            End::Poisoned => LogError::Poisoned,
        }))
    }

    /// Batches in the stream, from a sequence on.
    fn batches(&self, from: u64, below: u64) -> impl Iterator<Item = StoredBatch> {
        let mut from = from;
        std::iter::from_fn(move || {
            let batch = self.stream.next_batch(from, below)?;
            from = batch.next;
            Some(batch)
        })
    }

    fn no_record(at: Position) -> LogError {
        LogError::Damaged { file: PathBuf::from("memory"), offset: StreamPlace::from(at).sequence }
    }

    fn act<T>(&mut self, outcome: Result<T, LogError>) -> Result<T, LogError> {
        self.poisoned |= outcome.is_err();
        outcome
    }

    fn scan(
        &mut self,
        from: Position,
        below: Option<Position>,
        max_bytes: usize,
    ) -> Result<Scanned, LogError> {
        let below = below.map_or(u64::MAX, |below| StreamPlace::from(below).sequence);
        let (mut records, mut read) = (Vec::new(), 0);
        for StoredBatch { first, bytes, .. } in self.batches(StreamPlace::from(from).sequence, below) {
            if read >= max_bytes {
                let next = Some(StreamPlace::start(first).into());
                return Ok(Scanned { records, broken: Vec::new(), next });
            }
            read += bytes.len();
            let mut offset = 0;
            while offset < bytes.len() {
                let (_, length) = Record::decode_first(&bytes[offset..])
                    .map_err(|_| Self::no_record(StreamPlace::start(first).into()))?;
                let place = StreamPlace::in_batch(first, offset, length);
                records.push((place.into(), bytes.slice(offset..offset + length)));
                offset += length;
            }
        }
        Ok(Scanned { records, broken: Vec::new(), next: None })
    }

    /// Replays the records of one batch.
    fn replay(&mut self, visit: &mut ReplayVisitor<'_>) -> Result<Replayed, LogError> {
        let Range { start, end } = self.unreplayed;
        let Some(StoredBatch { first, next, bytes }) = self.stream.next_batch(start, end) else {
            return Ok(Replayed::All);
        };
        let mut offset = 0;
        while offset < bytes.len() {
            let (head, extent) = RecordHead::decode_first(&bytes[offset..])
                .map_err(|_| Self::no_record(StreamPlace::start(first).into()))?;
            let place = StreamPlace::in_batch(first, offset, extent.record);
            if counts_as_live(&head.record) {
                *self.live.entry(place.sequence).or_default() += extent.record as u64;
            }
            visit(place.into(), &head);
            offset += extent.record;
        }
        self.unreplayed.start = next;
        Ok(Replayed::Part)
    }
}

impl Log for MemoryLog {
    fn append(&mut self, record: &Record<'_>, _: Purpose) -> Result<Position, AppendError> {
        if self.poisoned {
            return Err(AppendError::Poisoned);
        }
        let length = record.encoded_len();
        if length as u64 > RECORD_MAX {
            return Err(AppendError::TooLarge(RECORD_MAX));
        }
        let place = StreamPlace::in_batch(self.first, self.open.len(), length);
        record.encode(&mut self.open);
        if counts_as_live(record) {
            *self.live.entry(place.sequence).or_default() += length as u64;
        }
        Ok(place.into())
    }

    fn longest_record(&self) -> u64 {
        RECORD_MAX
    }

    fn current_part(&self) -> u64 {
        // Batches are purged as a whole.
        self.first
    }

    fn part_of(at: Position) -> u64 {
        StreamPlace::from(at).sequence
    }

    fn open_bytes(&self) -> usize {
        self.open.len()
    }

    fn batch_is_empty(&self) -> bool {
        self.open.is_empty()
    }

    fn takes_batch(&self) -> bool {
        self.in_flight.len() < IN_FLIGHT_MAX
    }

    fn poll_takes_batch(&mut self, _: &mut Context<'_>) -> Poll<()> {
        if self.takes_batch() { Poll::Ready(()) } else { Poll::Pending }
    }

    fn commit(&mut self, _: Sync) -> BatchNumber {
        assert!(self.takes_batch(), "the limit of batches in flight");
        self.newest = self.newest.next();
        let bytes = Bytes::from(std::mem::take(&mut self.open));
        let parts = bytes.len().div_ceil(PART_BYTES).max(1);
        let (number, first) = (self.newest, self.first);
        self.in_flight.push_back(Request { number, first, bytes, stored: vec![false; parts] });
        self.first += parts as u64;
        number
    }

    fn poll_commit(&mut self, context: &mut Context<'_>) -> Poll<(BatchNumber, Result<Sync, LogError>)> {
        if self.in_flight.is_empty() {
            return Poll::Pending;
        }
        if self.stream.chance(3) > 0 && self.end.is_none() {
            self.send();
        } else {
            // Any batch whose outcome is known.
            let index = self.stream.chance(self.in_flight.len() as u64) as usize;
            if let Some(outcome) = self.outcome(index) {
                let Request { number, .. } = self.in_flight.remove(index).expect("the batch is in flight");
                return Poll::Ready((number, self.act(outcome)));
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    fn needs_sync(&self) -> bool {
        false
    }

    fn read(&mut self, at: Position) -> Result<Read, LogError> {
        let place = StreamPlace::from(at);
        let bytes = self.bytes_at(place).ok_or_else(|| Self::no_record(at));
        // Half of all batches are in memory.
        if place.sequence >= self.first || place.sequence.is_multiple_of(2) {
            return bytes.map(Read::Here);
        }
        let (answer, coming) = oneshot::channel();
        let _ = answer.send(bytes);
        Ok(Read::Coming(coming))
    }

    fn release(&mut self, at: Position) {
        let StreamPlace { sequence, length, .. } = at.into();
        if let Some(live) = self.live.get_mut(&sequence) {
            *live -= u64::from(length);
        }
    }

    fn stats(&self) -> LogStats {
        let (mut segments, mut total_bytes) = (0, 0);
        for StoredBatch { bytes, .. } in self.batches(0, u64::MAX) {
            segments += 1;
            total_bytes += bytes.len() as u64;
        }
        let live_bytes = self.live.values().sum();
        LogStats { segments, total_bytes, live_bytes, spares: 0, is_disk_full: false, room_bytes: None }
    }

    fn reclaim_wanted(&self) -> Option<Range<Position>> {
        let LogStats { segments, total_bytes, live_bytes, .. } = self.stats();
        let middle = self.batches(0, u64::MAX).nth(BATCHES_WORTH_FREEING / 2)?.first;
        // A batch that has arrived but was not returned yet may still have to be read from the requests.
        let arrived = self.in_flight.front().is_none_or(|request| middle < request.first);
        let pays = segments >= BATCHES_WORTH_FREEING as u64 && total_bytes > 2 * live_bytes;
        (arrived && pays).then(|| Position::START..StreamPlace::start(middle).into())
    }

    fn poll_replay(
        &mut self,
        visit: &mut ReplayVisitor<'_>,
        context: &mut Context<'_>,
    ) -> Poll<Result<Replayed, LogError>> {
        if self.stream.chance(2) == 0 {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let replayed = self.replay(visit);
        Poll::Ready(self.act(replayed))
    }

    fn poll_scan(
        &mut self,
        from: Position,
        below: Option<Position>,
        max_bytes: usize,
        context: &mut Context<'_>,
    ) -> Poll<Result<Scanned, LogError>> {
        if self.stream.chance(2) == 0 {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let scanned = self.scan(from, below, max_bytes);
        Poll::Ready(self.act(scanned))
    }

    fn poll_free(
        &mut self,
        below: Position,
        copies: BatchNumber,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), LogError>> {
        let committed = self.in_flight.iter().all(|request| request.number > copies);
        assert!(
            committed && copies <= self.newest,
            "copies must be committed before the originals are freed"
        );
        if self.stream.chance(2) == 0 {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let below = StreamPlace::from(below).sequence;
        self.stream.purge(below);
        self.live = self.live.split_off(&below);
        Poll::Ready(Ok(()))
    }
}
