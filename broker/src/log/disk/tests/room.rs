//! A model of the log's room, without a disk: a log on a volume that others fill and free at any moment, random
//! operations on its messages, and the decisions of the real log. From any state that refuses pushes, settling all
//! messages empties the log.

use std::collections::{BTreeMap, VecDeque};

use crate::log::{
    Purpose,
    disk::{
        compaction::{self, LogUsage},
        reserve::{self, Room},
        simulated::Chance,
        storage::Volume,
    },
};

/// Bytes of records per segment. Small, so that a million operations use many segments.
const SEGMENT: u64 = 8000;
/// Bytes of the longest message.
const LONGEST: u64 = 2000;
const LEASE: u64 = 41;
const STATE: u64 = 52;
const SETTLE: u64 = 17;
/// Bytes promised to a message that was never leased, and to a leased one.
const OWED: u64 = 56;
/// Bytes that a frame adds to its record. Here each record has its own frame: the worst case.
const FRAME: u64 = 40;
/// Additional ready spares, beside the reserve that pushes leave.
const AHEAD: usize = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Ready,
    Leased,
    Dead,
}

struct Message {
    phase: Phase,
    /// The epoch and the bytes of its record.
    record: (u64, u64),
    /// The epoch and the bytes of its last state.
    state: Option<(u64, u64)>,
}

struct Segment {
    epoch: u64,
    used: u64,
    live: u64,
    /// Messages with a record in this segment.
    mentions: Vec<u64>,
}

/// The progress of copying the oldest segment: the messages that remain to be checked.
type Walk = Vec<u64>;

struct World {
    chance: Chance,
    volume: u64,
    others: u64,
    segments: VecDeque<Segment>,
    spares: u64,
    /// Whether the last attempt to make a spare failed, and no segment was freed since.
    full: bool,
    next_epoch: u64,
    messages: BTreeMap<u64, Message>,
    next: u64,
    walk: Option<Walk>,
    /// How many of twenty possible steps of copying are done.
    zeal: u64,
    /// The purpose of leases and releases.
    change: Purpose,
    /// Number of state records that may still follow for the stored messages.
    owed: u64,
    stored: u64,
    refused: u64,
}

impl Message {
    fn is_owed(&self) -> u64 {
        u64::from(self.state.is_none()) + u64::from(self.phase == Phase::Leased)
    }
}

impl World {
    fn new(seed: u64, change: Purpose) -> Self {
        let mut chance = Chance::new(seed);
        let (volume, zeal) = ((5 + chance.below(20)) * SEGMENT, 1 + chance.below(20));
        let mut world = Self {
            chance,
            volume,
            others: 0,
            segments: VecDeque::new(),
            spares: 3,
            full: false,
            next_epoch: 1,
            messages: BTreeMap::new(),
            next: 1,
            walk: None,
            zeal,
            change,
            owed: 0,
            stored: 0,
            refused: 0,
        };
        world.begin_segment();
        world
    }

    fn begin_segment(&mut self) {
        let epoch = self.next_epoch;
        self.next_epoch += 1;
        self.segments.push_back(Segment { epoch, used: 0, live: 0, mentions: Vec::new() });
    }

    fn available(&self) -> u64 {
        let own = (self.segments.len() as u64 + self.spares) * SEGMENT;
        self.volume.saturating_sub(own + self.others)
    }

    fn promised(&self) -> u64 {
        self.owed * OWED
    }

    fn room(&self, promised: u64) -> Room {
        let (oldest, active) = (self.segments.front().unwrap(), self.segments.back().unwrap());
        Room {
            active: SEGMENT - active.used,
            ready: self.spares,
            segment: SEGMENT,
            copies: if oldest.live == 0 { 0 } else { (oldest.live + 1024).min(SEGMENT) },
            promised,
        }
    }

    fn leaves_enough(&self) -> bool {
        let volume = Volume { total: self.volume, available: self.available() };
        reserve::leaves_enough(volume, self.spares * SEGMENT, SEGMENT)
    }

    fn segment(&mut self, epoch: u64) -> &mut Segment {
        let first = self.segments.front().unwrap().epoch;
        &mut self.segments[(epoch - first) as usize]
    }

    /// Appends a record. Returns its place if there was room.
    fn append(&mut self, of: u64, bytes: u64, purpose: Purpose, promised: u64) -> Option<(u64, u64)> {
        let rotates = self.segments.back().unwrap().used + bytes + FRAME > SEGMENT;
        let room = self.room(promised);
        let room = if rotates { Room { active: 0, ..room } } else { room };
        let admitted = reserve::admits(room, purpose, bytes)
            && (purpose != Purpose::Store || !rotates || self.leaves_enough());
        if !admitted {
            return None;
        }
        if rotates {
            assert!(self.spares > 0, "an admitted record fits");
            self.spares -= 1;
            self.begin_segment();
        }
        let active = self.segments.back_mut().unwrap();
        active.used += bytes + FRAME;
        active.mentions.push(of);
        Some((active.epoch, bytes))
    }

    fn release(&mut self, record: Option<(u64, u64)>) {
        if let Some((epoch, bytes)) = record {
            self.segment(epoch).live -= bytes;
        }
    }

    /// Writes a message's state.
    fn tell(&mut self, number: u64, phase: Phase, purpose: Purpose) -> bool {
        let promised = self.promised();
        let bytes = if self.messages[&number].state.is_none() { LEASE } else { STATE };
        let Some(at) = self.append(number, bytes, purpose, promised) else { return false };
        self.segment(at.0).live += bytes;
        let message = self.messages.get_mut(&number).unwrap();
        self.owed -= message.is_owed();
        message.phase = phase;
        let before = message.state.replace(at);
        self.owed += message.is_owed();
        self.release(before);
        true
    }

    fn push(&mut self) {
        // Nearly all messages are short, with the largest overhead.
        let bytes = if self.chance.below(8) == 0 { 70 + self.chance.below(LONGEST) } else { 70 };
        let (number, promised) = (self.next, self.promised());
        match self.append(number, bytes, Purpose::Store, promised) {
            Some(record) => {
                self.next += 1;
                self.stored += 1;
                self.segment(record.0).live += bytes;
                let message = Message { phase: Phase::Ready, record, state: None };
                self.owed += message.is_owed();
                self.messages.insert(number, message);
            }
            None => self.refused += 1,
        }
    }

    fn settle(&mut self, number: u64) -> bool {
        let promised = self.promised();
        if self.append(number, SETTLE, Purpose::Settle, promised).is_none() {
            return false;
        }
        let message = self.messages.remove(&number).unwrap();
        self.owed -= message.is_owed();
        self.release(Some(message.record));
        self.release(message.state);
        true
    }

    /// A message in a phase: the first one, as for a receiver, or a random one.
    fn some(&mut self, phase: Phase) -> Option<u64> {
        let from = if self.chance.below(2) == 0 { 0 } else { self.chance.below(self.next) };
        let found = self.messages.range(from..).chain(self.messages.range(..from));
        found.filter(|(_, message)| message.phase == phase).map(|(number, _)| *number).next()
    }

    /// One step of copying.
    fn reclaim(&mut self) {
        let Some(mut walk) = self.walk.take() else { return self.begin_walk() };
        for _ in 0..8 {
            let Some(number) = walk.pop() else {
                let freed = self.segments.pop_front().unwrap();
                assert_eq!(freed.live, 0, "all needed records were copied");
                self.full = false;
                let kept = Room::spares_kept(self.promised(), SEGMENT) + AHEAD + 2;
                self.spares += u64::from((self.spares as usize) < kept);
                return;
            };
            self.copy(number);
        }
        self.walk = Some(walk);
    }

    fn begin_walk(&mut self) {
        let room = self.room(self.promised());
        let disk_is_full = !(room.is_ample() && self.leaves_enough());
        let waits = !self.full && self.available() >= SEGMENT;
        let oldest = self.segments.front().unwrap();
        let usage = LogUsage {
            total: self.segments.len() as u64 * SEGMENT,
            used: self.segments.iter().map(|segment| segment.used).sum(),
            live: self.segments.iter().map(|segment| segment.live).sum(),
            oldest_live: oldest.live,
            segment: SEGMENT,
            fits: room.copies_leave(0),
            sealed: self.segments.len() > 1,
            disk_is_full: disk_is_full && !waits,
            below_reserve: !room.is_ample() && !waits,
            fill: reserve::fill(Volume { total: self.volume, available: self.available() }),
        };
        if compaction::wanted(usage) {
            self.walk = Some(oldest.mentions.clone());
        }
    }

    /// Copies a message's records from the oldest segment.
    fn copy(&mut self, number: u64) {
        let oldest = self.segments.front().unwrap().epoch;
        let Some(Message { record, state, .. }) = self.messages.get(&number) else { return };
        let (record, state) = (*record, *state);
        if record.0 == oldest {
            let to = self.append(number, record.1, Purpose::Copy, 0).expect("copies have room");
            self.segment(to.0).live += to.1;
            self.messages.get_mut(&number).unwrap().record = to;
            self.release(Some(record));
        }
        if let Some(state) = state.filter(|(epoch, _)| *epoch == oldest) {
            let to = self.append(number, state.1, Purpose::Copy, 0).expect("copies have room");
            self.segment(to.0).live += to.1;
            self.messages.get_mut(&number).unwrap().state = Some(to);
            self.release(Some(state));
        }
    }

    /// A step of the thread that makes spares.
    fn make_spare(&mut self) {
        let wanted = Room::spares_kept(self.promised(), SEGMENT) + AHEAD;
        if (self.spares as usize) < wanted && !self.full {
            let has_room = self.available() >= SEGMENT;
            self.full = !has_room;
            self.spares += u64::from(has_room);
        }
    }

    /// Kills and restarts the broker. Unfinished copying starts again.
    fn restart(&mut self) {
        self.walk = None;
        self.full = false;
        if self.available() >= SEGMENT {
            self.begin_segment();
        }
    }

    fn others_change(&mut self) {
        let own = (self.segments.len() as u64 + self.spares) * SEGMENT;
        let most = self.volume.saturating_sub(own);
        self.others = match self.chance.below(4) {
            0 => 0,
            1 | 2 => most,
            _ => self.chance.below(most + 1),
        };
        self.full &= self.available() < SEGMENT;
    }

    fn step(&mut self) {
        match self.chance.below(100) {
            0..30 => self.push(),
            30..50 => {
                if let Some(number) = self.some(Phase::Ready) {
                    self.tell(number, Phase::Leased, self.change);
                }
            }
            50..62 => {
                if let Some(number) = self.some(Phase::Leased) {
                    self.tell(number, Phase::Ready, self.change);
                }
            }
            62..65 => {
                if let Some(number) = self.some(Phase::Leased) {
                    self.tell(number, Phase::Leased, self.change);
                }
            }
            65..72 => {
                if let Some(number) = self.some(Phase::Leased) {
                    assert!(self.settle(number), "a settle is never refused: {:?}", self.room(0));
                }
            }
            72..75 => {
                if let Some(number) = self.some(Phase::Leased) {
                    self.tell(number, Phase::Dead, Purpose::Settle);
                }
            }
            75 => {
                if let Some(number) = self.some(Phase::Dead) {
                    self.tell(number, Phase::Ready, self.change);
                }
            }
            76 => {
                // A lease expires, without a record.
                if let Some(number) = self.some(Phase::Leased) {
                    self.messages.get_mut(&number).unwrap().phase = Phase::Ready;
                    self.owed -= 1;
                }
            }
            77..97 => {
                if self.chance.below(20) < self.zeal {
                    self.reclaim();
                }
            }
            97 => self.make_spare(),
            98 => self.others_change(),
            _ => {
                if self.chance.below(50) == 0 {
                    self.restart();
                }
            }
        }
    }

    /// Receives and settles all messages and purges dead letters, while nobody else frees any space.
    fn settle_everything(&mut self) {
        let own = (self.segments.len() as u64 + self.spares) * SEGMENT;
        self.others = self.volume.saturating_sub(own).max(self.others);
        self.full = true;
        let (mut without_progress, mut left) = (0, self.messages.len());
        while let Some((number, message)) = self.messages.first_key_value() {
            let (number, phase) = (*number, message.phase);
            if phase == Phase::Ready {
                self.tell(number, Phase::Leased, self.change);
            } else {
                self.settle(number);
            }
            self.reclaim();
            without_progress = if self.messages.len() < left { 0 } else { without_progress + 1 };
            left = self.messages.len();
            assert!(without_progress < 20_000, "{left} messages are left: {:?}", self.room(self.promised()));
        }
        (0..20_000).for_each(|_| self.reclaim());
        self.others = 0;
        self.full = false;
        (0..10).for_each(|_| self.make_spare());
        let before = self.stored;
        self.push();
        assert!(self.stored > before, "an emptied log accepts messages if its volume has room");
    }
}

fn run(worlds: u64, steps: u64, change: Purpose) -> (u64, u64) {
    let (mut stored, mut refused) = (0, 0);
    for seed in 0..worlds {
        let mut world = World::new(seed, change);
        for step in 0..steps {
            world.step();
            // A deep queue would make the model slow.
            if step % 1000 == 999 || world.messages.len() > 300 {
                world.settle_everything();
            }
        }
        (stored, refused) = (stored + world.stored, refused + world.refused);
    }
    (stored, refused)
}

#[test]
fn from_any_state_that_refuses_pushes_settling_everything_empties_the_log() {
    let (stored, refused) = run(100, 10_000, Purpose::Change);
    assert!(stored > 50_000 && refused > 50_000, "{stored} were stored and {refused} refused");
}

#[test]
#[should_panic(expected = "is never refused")]
fn if_leases_used_the_room_of_copies_the_log_could_never_be_emptied() {
    run(100, 10_000, Purpose::Copy);
}
