//! A log in memory for tests that behaves like a replicated stream of batches. Several batches are in flight. Each
//! arrives at the server with the number that it must have there, and the answers arrive late and in any order. Time is
//! counted in polls, so that no test sleeps.

mod place;
mod stream;

use std::{
    collections::{BTreeMap, VecDeque},
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
use place::StreamPlace;
pub(crate) use stream::Stream;

/// Batches that may be in flight.
const IN_FLIGHT_MAX: usize = 8;
/// From this number of batches on, the older half is worth freeing if less than half of all bytes is needed.
const BATCHES_WORTH_FREEING: usize = 16;

/// A batch on its way.
struct Request {
    number: BatchNumber,
    sequence: u64,
    bytes: Bytes,
    /// The server's answer, once the batch has arrived there.
    answer: Option<Result<(), LogError>>,
}

pub(crate) struct MemoryLog {
    stream: Stream,
    open: Vec<u8>,
    /// The open batch's number in the stream.
    sequence: u64,
    newest: BatchNumber,
    in_flight: VecDeque<Request>,
    /// Needed bytes, by batch.
    live: BTreeMap<u64, u64>,
    /// Batches of earlier owners that are not replayed yet.
    unreplayed: Range<u64>,
    poisoned: bool,
}

impl MemoryLog {
    /// Takes over a stream: from now on it rejects the batches of earlier owners.
    pub(crate) fn open(stream: &Stream) -> Self {
        let sequence = stream.take_over();
        Self {
            stream: stream.clone(),
            open: Vec::new(),
            sequence: sequence + 1,
            newest: BatchNumber::default(),
            in_flight: VecDeque::new(),
            live: BTreeMap::new(),
            unreplayed: 0..sequence,
            poisoned: false,
        }
    }

    /// The bytes of a batch, in flight or in the stream.
    fn batch(&self, sequence: u64) -> Option<Bytes> {
        let in_flight = self.in_flight.iter().find(|request| request.sequence == sequence);
        in_flight.map(|request| request.bytes.clone()).or_else(|| self.stream.batch(sequence))
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
        for (sequence, bytes) in self.stream.batches(StreamPlace::from(from).sequence..below) {
            if read >= max_bytes {
                return Ok(Scanned {
                    records,
                    broken: Vec::new(),
                    next: Some(StreamPlace::start(sequence).into()),
                });
            }
            read += bytes.len();
            let mut offset = 0;
            while offset < bytes.len() {
                let (_, length) = Record::decode_first(&bytes[offset..])
                    .map_err(|_| Self::no_record(StreamPlace::start(sequence).into()))?;
                let place = StreamPlace { sequence, offset: offset as u32, length: length as u32 };
                records.push((place.into(), bytes.slice(offset..offset + length)));
                offset += length;
            }
        }
        Ok(Scanned { records, broken: Vec::new(), next: None })
    }

    /// Replays the records of one batch.
    fn replay(&mut self, visit: &mut ReplayVisitor<'_>) -> Result<Replayed, LogError> {
        let Some((sequence, bytes)) = self.stream.batches(self.unreplayed.clone()).into_iter().next() else {
            return Ok(Replayed::All);
        };
        let mut offset = 0;
        while offset < bytes.len() {
            let (head, extent) = RecordHead::decode_first(&bytes[offset..])
                .map_err(|_| Self::no_record(StreamPlace::start(sequence).into()))?;
            if counts_as_live(&head.record) {
                *self.live.entry(sequence).or_default() += extent.record as u64;
            }
            let place = StreamPlace { sequence, offset: offset as u32, length: extent.record as u32 };
            visit(place.into(), &head);
            offset += extent.record;
        }
        self.unreplayed.start = sequence + 1;
        Ok(Replayed::Part)
    }
}

impl Log for MemoryLog {
    fn append(&mut self, record: &Record<'_>, _: Purpose) -> Result<Position, AppendError> {
        if self.poisoned {
            return Err(AppendError::Poisoned);
        }
        let place = StreamPlace {
            sequence: self.sequence,
            offset: self.open.len() as u32,
            length: record.encoded_len() as u32,
        };
        record.encode(&mut self.open);
        if counts_as_live(record) {
            *self.live.entry(self.sequence).or_default() += u64::from(place.length);
        }
        Ok(place.into())
    }

    fn longest_record(&self) -> u64 {
        u32::MAX.into()
    }

    fn current_part(&self) -> u64 {
        // Batches are purged one by one.
        self.sequence
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
        self.in_flight.push_back(Request {
            number: self.newest,
            sequence: self.sequence,
            bytes: std::mem::take(&mut self.open).into(),
            answer: self.poisoned.then_some(Err(LogError::Poisoned)),
        });
        self.sequence += 1;
        self.newest
    }

    fn poll_commit(&mut self, context: &mut Context<'_>) -> Poll<(BatchNumber, Result<Sync, LogError>)> {
        if self.in_flight.is_empty() {
            return Poll::Pending;
        }
        let waiting = self.in_flight.iter().position(|request| request.answer.is_none());
        let answered: Vec<usize> =
            (0..self.in_flight.len()).filter(|index| self.in_flight[*index].answer.is_some()).collect();
        let chance = self.stream.chance(4);
        if let Some(index) = waiting.filter(|_| chance < 2) {
            let request = &mut self.in_flight[index];
            request.answer = Some(self.stream.append(request.sequence, request.bytes.clone()));
        } else if chance == 2 && !answered.is_empty() {
            let index = answered[self.stream.chance(answered.len() as u64) as usize];
            let Request { number, answer, .. } =
                self.in_flight.remove(index).expect("the batch is in flight");
            let outcome = answer.expect("the batch was answered");
            return Poll::Ready((number, self.act(outcome).map(|()| Sync::Now)));
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    fn needs_sync(&self) -> bool {
        false
    }

    fn read(&mut self, at: Position) -> Result<Read, LogError> {
        let StreamPlace { sequence, offset, length } = at.into();
        let range = offset as usize..(offset + length) as usize;
        if sequence == self.sequence {
            let bytes = self.open.get(range).map(Bytes::copy_from_slice);
            return bytes.map(Read::Here).ok_or_else(|| Self::no_record(at));
        }
        let batch = self.batch(sequence).filter(|batch| batch.len() >= range.end);
        let bytes = batch.map(|batch| batch.slice(range)).ok_or_else(|| Self::no_record(at));
        if self.stream.chance(2) == 0 {
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
        let batches = self.stream.batches(0..u64::MAX);
        LogStats {
            segments: batches.len() as u64,
            total_bytes: batches.iter().map(|(_, batch)| batch.len() as u64).sum(),
            live_bytes: self.live.values().sum(),
            spares: 0,
            is_disk_full: false,
            room_bytes: None,
        }
    }

    fn reclaim_wanted(&self) -> Option<Range<Position>> {
        let batches = self.stream.batches(0..u64::MAX);
        let LogStats { total_bytes, live_bytes, .. } = self.stats();
        let (middle, _) = batches.get(BATCHES_WORTH_FREEING / 2)?;
        // A batch that has arrived but was not returned yet may still have to be read from the requests.
        let arrived = self.in_flight.front().is_none_or(|request| *middle < request.sequence);
        let pays = batches.len() >= BATCHES_WORTH_FREEING && total_bytes > 2 * live_bytes;
        (arrived && pays).then(|| Position::START..StreamPlace::start(*middle).into())
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
