//! Random operations against a model: a plain list, searched from its beginning each time.

use proptest::prelude::*;
use restante_wire::channel::Order;

use super::{
    super::{Sequence, State, message::Phase},
    acting::Released,
    *,
};

#[derive(Debug, Clone, Copy)]
enum Operation {
    Push {
        group: Option<u8>,
        delay: Option<Millis>,
        ttl: Option<Millis>,
    },
    /// Many plain messages.
    Fill(u8, Option<Millis>),
    Pull(Millis),
    Settle(usize),
    Reject(usize),
    Release(usize, bool, Option<Millis>),
    Renew(usize, Millis),
    Revive,
    Pass(Millis),
    /// A message leaves without a settle.
    Drop(usize),
    /// A body is copied in the log.
    Relocate(usize, u32),
    Order(Order),
    /// All messages are replayed from the log, in an order that depends on a number.
    Restore(u64),
}

fn operation() -> impl Strategy<Value = Operation> {
    let push = (prop::option::of(0..3_u8), prop::option::of(1..30_u64), prop::option::of(30..120_u64));
    prop_oneof![
        4 => push.prop_map(|(group, delay, ttl)| Operation::Push { group, delay, ttl }),
        4 => (1..50_u64).prop_map(Operation::Pull),
        2 => (0..8_usize).prop_map(Operation::Settle),
        1 => (0..8_usize).prop_map(Operation::Reject),
        2 => (0..8_usize, any::<bool>(), prop::option::of(0..20_u64))
            .prop_map(|(index, counted, delay)| Operation::Release(index, counted, delay)),
        1 => (0..8_usize, 1..50_u64).prop_map(|(index, lease)| Operation::Renew(index, lease)),
        1 => Just(Operation::Revive),
        3 => (1..40_u64).prop_map(Operation::Pass),
        2 => (2..12_u8, prop::option::of(30..120_u64)).prop_map(|(count, ttl)| Operation::Fill(count, ttl)),
        1 => (0..40_usize).prop_map(Operation::Drop),
        3 => (0..40_usize, any::<u32>()).prop_map(|(index, to)| Operation::Relocate(index, to)),
        1 => prop_oneof![Just(Order::Fifo), Just(Order::Strict)].prop_map(Operation::Order),
        1 => any::<u64>().prop_map(Operation::Restore),
    ]
}

/// The state of a message in the model.
#[derive(Debug, Clone, Copy, PartialEq)]
enum ModelState {
    Ready,
    Delayed(Millis),
    Leased(Millis),
    Dead,
}

#[derive(Debug, Clone, Copy)]
struct Modelled {
    number: u64,
    group: Option<u8>,
    expires: Option<Millis>,
    lease_count: u32,
    deliveries: u32,
    place: ModelState,
    position: Position,
}

#[derive(Debug, Default)]
struct Model {
    messages: Vec<Modelled>,
    pushed: u64,
    strict: bool,
}

/// Sequences begin at 0, and numbers at 1.
fn sequence(number: u64) -> Sequence {
    number - 1
}

impl Model {
    fn push(&mut self, group: Option<u8>, expires: Option<Millis>, place: ModelState) -> u64 {
        self.pushed += 1;
        let (number, position) = (self.pushed, Position::default());
        self.messages.push(Modelled {
            number,
            group,
            expires,
            lease_count: 0,
            deliveries: 0,
            place,
            position,
        });
        number
    }

    /// The first ready message whose group is not waiting.
    fn pull(&mut self, until: Millis) -> Option<(u64, u32)> {
        let waits = |index: usize| {
            let message = self.messages[index];
            let is_one = |other: &Modelled| self.strict || other.group == message.group;
            let alive = |other: &&Modelled| is_one(other) && other.place != ModelState::Dead;
            let grouped = self.strict || message.group.is_some();
            let is_leased = |other: &&Modelled| matches!(other.place, ModelState::Leased(_));
            let others_come_first = || self.messages[..index].iter().any(|other| alive(&other));
            let one_is_leased = || self.messages.iter().filter(alive).any(|other| is_leased(&other));
            grouped && (others_come_first() || one_is_leased())
        };
        let next = (0..self.messages.len())
            .find(|index| self.messages[*index].place == ModelState::Ready && !waits(*index))?;
        let message = &mut self.messages[next];
        message.lease_count += 1;
        message.deliveries += 1;
        message.place = ModelState::Leased(until);
        Some((message.number, message.lease_count))
    }

    /// The index of the message that a lease still holds.
    fn held(&self, (number, lease_count): (u64, u32)) -> Option<usize> {
        self.messages.iter().position(|message| {
            message.number == number
                && message.lease_count == lease_count
                && matches!(message.place, ModelState::Leased(_))
        })
    }

    fn release(&mut self, index: usize, counted: bool, delay: Option<Millis>, now: Millis, policy: &Policy) {
        let message = &mut self.messages[index];
        message.deliveries -= u32::from(!counted);
        let pause = delay.unwrap_or(0);
        message.place = if counted && message.deliveries >= policy.max_deliveries {
            message.expires = None;
            ModelState::Dead
        } else if pause == 0 {
            ModelState::Ready
        } else {
            ModelState::Delayed(after(now, pause))
        };
    }

    /// All events up to `now`.
    fn pass(&mut self, now: Millis, policy: &Policy) {
        self.messages.retain_mut(|message| {
            if let ModelState::Leased(until) = message.place
                && until <= now
            {
                message.place = ModelState::Ready;
                if message.deliveries >= policy.max_deliveries {
                    (message.place, message.expires) = (ModelState::Dead, None);
                }
            }
            let leased = matches!(message.place, ModelState::Leased(_));
            if !leased && message.expires.is_some_and(|expires| expires <= now) {
                return false;
            }
            if let ModelState::Delayed(until) = message.place
                && until <= now
            {
                message.place = ModelState::Ready;
            }
            true
        });
    }

    /// The sequences of the messages in a state.
    fn all(&self, state: State) -> Vec<Sequence> {
        let is = |message: &&Modelled| match message.place {
            ModelState::Ready => state == State::Ready,
            ModelState::Delayed(_) => state == State::Delayed,
            ModelState::Leased(_) => state == State::Leased,
            ModelState::Dead => state == State::Dead,
        };
        self.messages.iter().filter(is).map(|message| sequence(message.number)).collect()
    }

    /// The time of the next event.
    fn next_event(&self) -> Option<Millis> {
        let next = |message: &Modelled| match message.place {
            ModelState::Leased(until) => Some(until),
            ModelState::Delayed(until) => Some(message.expires.map_or(until, |expires| expires.min(until))),
            ModelState::Ready | ModelState::Dead => message.expires,
        };
        self.messages.iter().filter_map(next).min()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_channel_behaves_like_a_list_of_messages(operations in prop::collection::vec(operation(), 1..80)) {
        let (mut state, mut model, mut now, policy) = (ChannelState::default(), Model::default(), 0, policy());
        let mut leases: Vec<((u64, u32), Claim)> = Vec::new();
        for operation in operations {
            let pick = |index: usize| leases.iter().rev().nth(index).copied();
            match operation {
                Operation::Push { group, delay, ttl } => {
                    let expires = ttl.map(|ttl| now + ttl);
                    let place = delay.map_or(ModelState::Ready, |delay| ModelState::Delayed(now + delay));
                    let number = model.push(group, expires, place);
                    state.store(Message {
                        group: group.map(|group| group.to_string().into()),
                        expires_at: expires,
                        phase: delay.map_or(Phase::Ready(None), |delay| Phase::Delayed { until: now + delay, ended: None }),
                        ..message(number)
                    });
                }
                Operation::Pull(lease) => {
                    let granted = state.lease_next(now + lease, START);
                    let got = granted.as_ref().map(|granted| (granted.stored.enqueued_at, granted.lease_counts.last));
                    prop_assert_eq!(got, model.pull(now + lease));
                    leases.extend(got.zip(granted.map(|granted| granted.claim())));
                }
                Operation::Settle(index) => if let Some((lease_number, claim)) = pick(index) {
                    let held = model.held(lease_number);
                    prop_assert_eq!(matches!(state.settle(claim, now), Ok(Some(_))), held.is_some());
                    held.map(|index| model.messages.remove(index));
                },
                Operation::Reject(index) => if let Some((lease_number, claim)) = pick(index) {
                    let held = model.held(lease_number);
                    prop_assert_eq!(state.reject(claim, None, &policy, now) == Ok(true), held.is_some());
                    if let Some(index) = held {
                        (model.messages[index].place, model.messages[index].expires) = (ModelState::Dead, None);
                    }
                },
                Operation::Release(index, counted, delay) => if let Some((lease_number, claim)) = pick(index) {
                    let held = model.held(lease_number);
                    let released = state.release(claim, counted, delay, &policy, now);
                    prop_assert_eq!(matches!(released, Ok(Released::Requeued | Released::DeadLettered)), held.is_some());
                    if let Some(index) = held { model.release(index, counted, delay, now, &policy); }
                },
                Operation::Renew(index, lease) => if let Some((lease_number, claim)) = pick(index) {
                    let held = model.held(lease_number);
                    prop_assert_eq!(state.renew(claim, now + lease, now).is_ok(), held.is_some());
                    if let Some(index) = held { model.messages[index].place = ModelState::Leased(now + lease); }
                },
                Operation::Revive => {
                    let dead = model.messages.iter_mut().find(|message| message.place == ModelState::Dead);
                    let sequence = state.in_state(State::Dead, 0, 1).first().copied();
                    prop_assert_eq!(dead.is_some(), sequence.is_some());
                    if let Some((dead, sequence)) = dead.zip(sequence) {
                        (dead.place, dead.deliveries) = (ModelState::Ready, 0);
                        prop_assert!(state.redrive(sequence, None));
                        prop_assert_eq!(state.message(sequence).unwrap().stored.enqueued_at, dead.number);
                    }
                }
                Operation::Pass(time) => {
                    now += time;
                    model.pass(now, &policy);
                    while state.elapse(&policy, now).is_some() {}
                    prop_assert!(state.next_event().is_none_or(|at| at > now));
                }
                Operation::Fill(count, ttl) => for _ in 0..count {
                    let expires_at = ttl.map(|ttl| now + ttl);
                    let number = model.push(None, expires_at, ModelState::Ready);
                    state.store(Message { expires_at, ..message(number) });
                },
                Operation::Drop(index) => if index < model.messages.len() {
                    let gone = model.messages.remove(index);
                    let removed = state.remove(sequence(gone.number)).unwrap();
                    prop_assert_eq!((removed.stored.enqueued_at, removed.expires_at), (gone.number, gone.expires));
                },
                Operation::Relocate(index, to) => if let Some(message) = model.messages.get_mut(index) {
                    message.position = Position::for_test(to);
                    state.relocate(sequence(message.number), message.position);
                },
                Operation::Order(order) => {
                    model.strict = order == Order::Strict;
                    state.set_order(order);
                }
                Operation::Restore(chance) => {
                    let mut found: Vec<_> = state.messages().map(|(at, message)| (at, message.into_owned())).collect();
                    found.sort_by_key(|(at, _)| (at + 1).wrapping_mul(chance | 1));
                    let before = std::mem::take(&mut state);
                    state.set_order(if model.strict { Order::Strict } else { Order::Fifo });
                    before.next_sequence().checked_sub(1).into_iter().for_each(|last| state.saw_sequence(last));
                    for (at, message) in found {
                        assert!(state.restore(at, message).is_none());
                    }
                }
            }
            for kind in [State::Ready, State::Leased, State::Delayed, State::Dead] {
                let all = model.all(kind);
                prop_assert_eq!(state.count(kind), all.len() as u64, "{:?}", kind);
                let some: Vec<_> = all.iter().copied().filter(|at| *at >= model.pushed / 2).take(3).collect();
                prop_assert_eq!(state.in_state(kind, model.pushed / 2, 3), some, "{:?}", kind);
                prop_assert!(kind != State::Ready || state.oldest_ready() == all.first().copied());
            }
            prop_assert_eq!(state.messages_count(), model.messages.len() as u64);
            prop_assert_eq!(state.bytes(), model.messages.iter().map(|message| 10 + message.number % 3).sum::<u64>());
            let oldest = model.messages.iter().find(|message| message.place != ModelState::Dead);
            prop_assert_eq!(state.oldest(), oldest.map(|message| message.number));
            prop_assert!(state.next_event().is_none_or(|at| model.next_event().is_none_or(|exactly| at <= exactly)));
            prop_assert!(state.next_event().is_some() || model.next_event().is_none());
            let mut found = state.messages();
            for message in &model.messages {
                let (at, found) = found.next().unwrap();
                prop_assert_eq!((at, found.stored.position), (sequence(message.number), message.position));
                prop_assert_eq!((found.stored.enqueued_at, found.expires_at), (message.number, message.expires));
            }
            prop_assert!(found.next().is_none());
        }
    }
}
