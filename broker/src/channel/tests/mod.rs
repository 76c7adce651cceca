//! The state machine: each row of the contract's table of states, each rule separately, and random operations against a
//! model that is a plain list.

mod acting;
mod groups;
mod model;
mod rules;
mod table;

use restante_wire::channel::{Backoff, BackoffPolicy, Expired};

use super::{ChannelState, Claim, Message, Policy, Stored};
use crate::{
    clock::{Millis, after},
    log::Position,
};

const START: u64 = 7;
const LEASE: Millis = 100;

/// Dead letter after three deliveries, no back-off, dropped when expired.
fn policy() -> Policy {
    Policy {
        max_deliveries: 3,
        backoff: Backoff { policy: BackoffPolicy::Constant, initial_seconds: 0, max_seconds: 0 },
        expired: Expired::Drop,
        dead_for: None,
    }
}

/// A message whose number is its time of storage and determines its size.
fn message(number: u64) -> Message {
    Message::new(Stored {
        position: Position::default(),
        bytes: 10 + (number % 3) as u32,
        enqueued_at: number,
    })
}

fn of_group(number: u64, group: &str) -> Message {
    Message { group: Some(group.into()), ..message(number) }
}

/// A channel with one message, leased at 0 until 100, and the claim.
fn leased() -> (ChannelState, Claim) {
    let mut state = ChannelState::default();
    state.store(message(1));
    let claim = state.lease_next(LEASE, START).unwrap().claim();
    (state, claim)
}
