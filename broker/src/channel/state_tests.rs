//! The channel's state machine: each row of the contract's table of states, and random operations against a model that
//! is a plain list.

use proptest::prelude::*;
use uuid::Uuid;

use super::{
    lease::{Claim, Refusal},
    state::{ChannelState, Stored},
};
use crate::{clock::Millis, log::Position};

const START: u64 = 7;
const LEASE: Millis = 100;

fn stored(number: u64) -> Stored {
    Stored {
        position: Position::default(),
        bytes: 10,
        enqueued_at: number,
        id: Uuid::from_u128(number.into()),
    }
}

/// A channel with one message, leased at 0 until 100; and the claim to it.
fn leased() -> (ChannelState, Claim) {
    let mut state = ChannelState::default();
    state.store(stored(1));
    let claim = state.lease_next(LEASE, START).unwrap().claim();
    (state, claim)
}

#[test]
fn leased_by_this_token_everything_goes() {
    assert!(leased_then(|state, claim| state.settle(claim, 50).map(|stored| stored.is_some())).unwrap());
    assert!(leased_then(|state, claim| state.release(claim, true, 50)).unwrap());
    assert_eq!(leased_then(|state, claim| state.renew(claim, 150, 50)).unwrap().ends_at, 150);
}

#[test]
fn a_token_that_gave_the_message_back_may_only_do_so_again() {
    let (mut state, claim) = leased();
    state.release(claim, true, 50).unwrap();
    assert_eq!(state.settle(claim, 50), Err(Refusal::Released));
    assert_eq!(state.release(claim, true, 50), Ok(false));
    assert_eq!(state.renew(claim, 150, 50), Err(Refusal::Released));
}

#[test]
fn a_lease_that_ended_is_good_for_nothing() {
    let (mut state, claim) = leased();
    assert_eq!(state.settle(claim, LEASE), Err(Refusal::Expired));
    assert_eq!(state.release(claim, true, LEASE), Err(Refusal::Expired));
    assert_eq!(state.renew(claim, 250, LEASE), Err(Refusal::Expired));
    assert_eq!((state.ready(), state.leased()), (1, 0));
}

#[test]
fn a_token_whose_message_was_leased_again_is_superseded() {
    let (mut state, claim) = leased();
    assert!(state.expire(claim.sequence, LEASE));
    let second = state.lease_next(300, START).unwrap();
    assert_eq!(second.deliveries(), 2);
    assert_eq!(state.settle(claim, 150), Err(Refusal::Superseded));
    assert_eq!(state.release(claim, true, 150), Err(Refusal::Superseded));
    assert_eq!(state.renew(claim, 250, 150), Err(Refusal::Superseded));
    assert!(state.settle(second.claim(), 150).is_ok());
}

#[test]
fn a_token_of_another_start_of_the_broker_is_superseded() {
    let (mut state, claim) = leased();
    let other = Claim { start: START + 1, ..claim };
    assert_eq!(state.settle(other, 50), Err(Refusal::Superseded));
}

#[test]
fn a_message_that_is_gone_is_settled_already_and_not_to_be_had_back() {
    let (mut state, claim) = leased();
    state.settle(claim, 50).unwrap();
    assert_eq!(state.settle(claim, 50), Ok(None));
    assert_eq!(state.release(claim, true, 50), Err(Refusal::Settled));
    assert_eq!(state.renew(claim, 150, 50), Err(Refusal::Settled));
}

#[test]
fn a_hand_out_that_a_power_cut_forgot_has_ended() {
    let (mut state, claim) = leased();
    let later = Claim { handout: claim.handout + 1, ..claim };
    assert_eq!(state.settle(later, 50), Err(Refusal::Expired));
}

#[test]
fn a_hand_out_whose_answer_never_left_is_not_a_delivery_but_has_its_own_token() {
    let (mut state, claim) = leased();
    state.release(claim, false, 50).unwrap();
    let again = state.lease_next(200, START).unwrap();
    assert_eq!(again.deliveries(), 1);
    assert_ne!(again.claim(), claim);
    assert_eq!(state.settle(claim, 60), Err(Refusal::Superseded));
}

#[test]
fn a_renewed_lease_does_not_end_at_its_first_end() {
    let (mut state, claim) = leased();
    state.renew(claim, 250, 50).unwrap();
    assert!(!state.expire(claim.sequence, LEASE));
    assert!(state.expire(claim.sequence, 250));
}

fn leased_then<T>(act: impl FnOnce(&mut ChannelState, Claim) -> Result<T, Refusal>) -> Result<T, Refusal> {
    let (mut state, claim) = leased();
    act(&mut state, claim)
}

#[derive(Debug, Clone, Copy)]
enum Operation {
    Push,
    Pull(Millis),
    Settle(usize),
    Release(usize),
    Renew(usize, Millis),
    Pass(Millis),
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        3 => Just(Operation::Push),
        3 => (1..50_u64).prop_map(Operation::Pull),
        2 => (0..8_usize).prop_map(Operation::Settle),
        1 => (0..8_usize).prop_map(Operation::Release),
        1 => ((0..8_usize), (1..50_u64)).prop_map(|(index, lease)| Operation::Renew(index, lease)),
        2 => (1..40_u64).prop_map(Operation::Pass),
    ]
}

/// A message of the model: its number, how often it was handed out, and until when it is leased.
#[derive(Debug, Clone, Copy)]
struct Modelled {
    number: u64,
    handouts: u32,
    until: Option<Millis>,
}

/// The model: messages in order of arrival.
#[derive(Debug, Default)]
struct Model {
    messages: Vec<Modelled>,
    pushed: u64,
}

impl Model {
    fn pass(&mut self, now: Millis) {
        for message in &mut self.messages {
            message.until = message.until.filter(|until| *until > now);
        }
    }

    fn pull(&mut self, until: Millis) -> Option<(u64, u32)> {
        let message = self.messages.iter_mut().find(|message| message.until.is_none())?;
        message.handouts += 1;
        message.until = Some(until);
        Some((message.number, message.handouts))
    }

    /// The place of the message that a hand-out still holds.
    fn held(&self, (number, handouts): (u64, u32)) -> Option<usize> {
        self.messages.iter().position(|message| {
            message.number == number && message.handouts == handouts && message.until.is_some()
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_channel_does_what_a_list_of_messages_would(operations in prop::collection::vec(operation(), 1..60)) {
        let (mut state, mut model, mut now) = (ChannelState::default(), Model::default(), 0);
        let mut handed_out: Vec<((u64, u32), Claim)> = Vec::new();
        let pick = |handed_out: &[((u64, u32), Claim)], index: usize| handed_out.iter().rev().nth(index).copied();
        for operation in operations {
            match operation {
                Operation::Push => {
                    model.pushed += 1;
                    model.messages.push(Modelled { number: model.pushed, handouts: 0, until: None });
                    state.store(stored(model.pushed));
                }
                Operation::Pull(lease) => {
                    let granted = state.lease_next(now + lease, START);
                    let got = granted.map(|granted| (granted.stored.enqueued_at, granted.deliveries()));
                    prop_assert_eq!(got, model.pull(now + lease));
                    handed_out.extend(got.zip(granted.map(|granted| granted.claim())));
                }
                Operation::Settle(index) => if let Some((handout, claim)) = pick(&handed_out, index) {
                    let held = model.held(handout);
                    let settled = state.settle(claim, now);
                    prop_assert_eq!(matches!(settled, Ok(Some(_))), held.is_some());
                    held.map(|index| model.messages.remove(index));
                },
                Operation::Release(index) => if let Some((handout, claim)) = pick(&handed_out, index) {
                    let held = model.held(handout);
                    prop_assert_eq!(state.release(claim, true, now) == Ok(true), held.is_some());
                    if let Some(index) = held { model.messages[index].until = None; }
                },
                Operation::Renew(index, lease) => if let Some((handout, claim)) = pick(&handed_out, index) {
                    let held = model.held(handout);
                    prop_assert_eq!(state.renew(claim, now + lease, now).is_ok(), held.is_some());
                    if let Some(index) = held { model.messages[index].until = Some(now + lease); }
                },
                Operation::Pass(time) => {
                    now += time;
                    model.pass(now);
                    let sequences: Vec<_> = state.messages().map(|(sequence, _)| sequence).collect();
                    for sequence in sequences { state.expire(sequence, now); }
                }
            }
            let leased = model.messages.iter().filter(|message| message.until.is_some()).count() as u64;
            prop_assert_eq!(state.leased(), leased);
            prop_assert_eq!(state.count(), model.messages.len() as u64);
            prop_assert_eq!(state.bytes(), model.messages.len() as u64 * 10);
            prop_assert_eq!(state.oldest(), model.messages.first().map(|message| message.number));
        }
    }
}
