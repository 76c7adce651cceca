//! Taking messages that other cores have for channels of this one: each once. See [`super::outbox`].

use std::{collections::BTreeSet, iter::repeat_n};

use bytes::Bytes;

use super::{
    Core, Recorded, StoreFailed, Ticket, outbox::Outgoing, placement::is_outbox, reclaim::Stopped,
    store::Arrived,
};
use crate::{
    channel::{Sequence, Stored},
    log::{AppendError, Log, Position, Record, Sync, Target, Targets},
};

/// What was taken and may come again: until the message has left its outbox.
#[derive(Debug, Default)]
pub(super) struct Inbox(BTreeSet<(Outgoing, u32)>);

/// What came of a message that another core has.
#[derive(Debug)]
pub(super) enum TakenIn {
    /// It is in its channels, now or since before.
    Stored(Ticket),
    /// The log has room only for what empties it.
    NoRoom,
}

impl Inbox {
    /// A channel has it.
    pub(super) fn add(&mut self, message: Outgoing, channel: u32) {
        self.0.insert((message, channel));
    }

    /// Whether a channel has, or had, a message that may come again.
    pub(super) fn knows(&self, message: Outgoing, channel: u32) -> bool {
        self.0.contains(&(message, channel))
    }

    /// Keeps what may come again.
    pub(super) fn retain(&mut self, is_in_outbox: impl Fn(&Outgoing) -> bool) {
        self.0.retain(|(message, _)| is_in_outbox(message));
    }

    fn forget(&mut self, message: Outgoing) {
        let channels: Vec<_> = self.0.range((message, 0)..=(message, u32::MAX)).copied().collect();
        channels.iter().for_each(|known| {
            self.0.remove(known);
        });
    }
}

/// The place of an outbox that a record's message came from.
pub(super) fn came_from(moved_from: Option<Outgoing>) -> Option<Outgoing> {
    moved_from.filter(|(number, _)| is_outbox(*number))
}

/// What a message's record says without the message: that it left where it came from, and that its key was used.
pub(crate) fn without_content(record: &Record<'_>, say: &mut impl FnMut(&Record<'_>)) {
    let Record::Message { targets, moved_from, .. } = *record else { return };
    match (moved_from, came_from(moved_from)) {
        (_, Some(_)) => taken(record, targets.iter(), |taken| say(taken)),
        (Some((channel, sequence)), None) => say(&Record::Settle { channel, sequence }),
        (None, None) => {}
    }
    if let (Some((idempotency, message_id)), Some(channel)) = (record.key(), record.key_channel()) {
        say(&Record::ChannelKey { channel, idempotency, message_id });
    }
}

/// Says of a message that came from an outbox only that it was taken by these of its channels.
fn taken<T>(record: &Record<'_>, by: impl Iterator<Item = Target>, say: impl FnOnce(&Record<'_>) -> T) -> T {
    let mut encoded = Vec::new();
    by.for_each(|target| Target::to_come(target.channel, None).encode(&mut encoded));
    let mut said = *record;
    if let Record::Message { targets, idempotency, due_ms, group, headers, body, .. } = &mut said {
        *targets = Targets::new(&encoded);
        (*idempotency, *due_ms, *group, *headers, *body) = (None, None, None, &[], &[]);
    }
    say(&said)
}

impl<L: Log> Core<L> {
    /// Stores a message of another core's in those of its channels that are here and do not have it. It was admitted
    /// there; so a channel that has become full since has one more than it may.
    pub(super) fn take_in(&mut self, from: Outgoing, bytes: &Bytes) -> Result<TakenIn, StoreFailed> {
        self.alive()?;
        let Ok(Record::Message { targets, enqueued_ms, due_ms, group, message_id, headers, body, .. }) =
            Record::decode(bytes)
        else {
            unreachable!("what is in an outbox is a message")
        };
        let recorded = Recorded::of(bytes);
        let size = recorded.content.bytes();
        let to_come = targets.iter().filter(Target::is_to_come);
        let (mut there, mut goes) = (Vec::new(), Vec::new());
        for target in to_come {
            let Some(sequence) = self.place_for(from, target.channel) else { continue };
            there.push(Target { sequence, ..target });
            if let Some(entry) = self.store.by_number(target.channel) {
                let makes_room = self.admit(&entry, size as u64, None).unwrap_or_default();
                goes.extend(makes_room.into_iter().map(|sequence| (target.channel, sequence)));
            }
        }
        if there.is_empty() {
            return Ok(TakenIn::Stored(self.everything_so_far(Sync::Now)));
        }
        let mut encoded = Vec::with_capacity(there.len() * Target::BYTES);
        there.iter().for_each(|target| target.encode(&mut encoded));
        let record = Record::Message {
            targets: Targets::new(&encoded),
            message_id,
            enqueued_ms,
            idempotency: None,
            due_ms,
            group,
            moved_from: Some(from),
            headers,
            body,
        };
        let position = match self.append_message(&record) {
            Ok(position) => position,
            Err(AppendError::Full) => return Ok(TakenIn::NoRoom),
            // Not too large: in the outbox it is longer, and a start refuses what an earlier one had longer segments for.
            Err(AppendError::Poisoned) => return self.has_room_held(Err(AppendError::Poisoned)),
            Err(error @ AppendError::TooLarge(_)) => {
                tracing::error!(%error, "a message of another core is not taken; the next start tries again");
                return Err(StoreFailed);
            }
        };
        self.shared.share(position, there.len());
        let ticket = self.appended(Sync::Now);
        let stored = Stored { position, bytes: size as u32, enqueued_at: enqueued_ms };
        let arrived = Arrived { stored, recorded, group: group.map(Into::into), due_ms };
        for (target, arrived) in there.iter().zip(repeat_n(arrived, there.len())) {
            self.inbox.add(from, target.channel);
            self.arrive(*target, arrived);
        }
        for (number, sequence) in goes {
            self.drop_message(number, sequence)?;
        }
        for target in there {
            self.serve_waiting(target.channel);
            self.touch(target.channel);
        }
        Ok(TakenIn::Stored(ticket))
    }

    /// The next place in a channel that is here and does not have a message yet; none if it is being deleted.
    fn place_for(&mut self, from: Outgoing, number: u32) -> Option<Sequence> {
        if !self.here.has(number) || self.inbox.knows(from, number) {
            return None;
        }
        let entry = self.store.by_number(number)?;
        self.channel(&entry).map(|channel| channel.state.next_sequence())
    }

    /// A message has left its outbox, and does not come again.
    pub(super) fn is_over(&mut self, message: Outgoing) {
        self.inbox.forget(message);
    }

    /// Says again of a message that is gone from its channels that it was taken, if it may come again.
    pub(super) fn keep_taken(&mut self, record: &Record<'_>) -> Result<(), Stopped> {
        let Record::Message { targets, moved_from, .. } = *record else { return Ok(()) };
        let Some(from) = came_from(moved_from) else { return Ok(()) };
        let gone = targets.iter().filter(|target| self.message(target.channel, target.sequence).is_none());
        let owed: Vec<_> = gone.filter(|target| self.inbox.knows(from, target.channel)).collect();
        if owed.is_empty() {
            return Ok(());
        }
        let position: Position = taken(record, owed.into_iter(), |taken| self.append_copy(taken))?;
        // Nobody needs it for its content.
        self.log.release(position);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Idempotency;

    #[test]
    fn of_a_message_that_is_gone_its_record_says_only_what_it_left_and_which_key_it_had() {
        let mut targets = Vec::new();
        Target { channel: 4, sequence: 5, expires_ms: None }.encode(&mut targets);
        let idempotency = Some(Idempotency { hash: 1, fingerprint: 2, expires_ms: 3 });
        let outbox = (u32::MAX, 8);
        for (moved_from, idempotency) in
            [(None, None), (None, idempotency), (Some((9, 8)), None), (Some(outbox), None)]
        {
            let record = Record::Message {
                targets: Targets::new(&targets),
                message_id: 6,
                enqueued_ms: 7,
                idempotency,
                due_ms: Some(1),
                group: Some("g"),
                moved_from,
                headers: b"h",
                body: b"b",
            };
            let mut said = Vec::new();
            without_content(&record, &mut |record| match *record {
                Record::Settle { channel, sequence } => said.push(format!("left {channel}, {sequence}")),
                Record::ChannelKey { channel, message_id, .. } => {
                    said.push(format!("key of {channel}, {message_id}"));
                }
                Record::Message {
                    targets,
                    moved_from,
                    headers: [],
                    body: [],
                    group: None,
                    due_ms: None,
                    ..
                } => {
                    assert!(targets.iter().all(|target| target.is_to_come()));
                    said.push(format!("taken {moved_from:?}"));
                }
                other => panic!("{other:?}"),
            });
            let expected = match (moved_from, idempotency) {
                (None, None) => Vec::new(),
                (None, Some(_)) => vec!["key of 4, 6".to_owned()],
                (Some((9, 8)), _) => vec!["left 9, 8".to_owned()],
                (Some(from), _) => vec![format!("taken {:?}", Some(from))],
            };
            assert_eq!(said, expected);
        }
    }
}
