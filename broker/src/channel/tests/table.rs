//! The table of states of the HTTP contract, section *Settle*, row by row.

use restante_wire::{DeadLetterCause, channel::Backoff};

use super::{
    super::{Policy, Refusal, State, message::Phase},
    acting::{Elapsed, Released},
    *,
};

/// The outcomes of the four operations.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    settle: Result<bool, Refusal>,
    reject: Result<bool, Refusal>,
    release: Result<Released, Refusal>,
    renew: Result<Millis, Refusal>,
}

/// Runs each operation on a channel of its own.
fn row(channel: impl Fn() -> (ChannelState, Claim), now: Millis) -> Row {
    let on = |ask: &dyn Fn(&mut ChannelState, Claim) -> Result<bool, Refusal>| {
        let (mut state, claim) = channel();
        ask(&mut state, claim)
    };
    let (mut to_release, released) = channel();
    let (mut to_renew, renewed) = channel();
    Row {
        settle: on(&|state, claim| state.settle(claim, now).map(|message| message.is_some())),
        reject: on(&|state, claim| state.reject(claim, None, &policy(), now)),
        release: to_release.release(released, true, None, &policy(), now),
        renew: to_renew.renew(renewed, now + 100, now).map(|granted| granted.ends_at),
    }
}

fn refused(refusal: Refusal) -> Row {
    Row { settle: Err(refusal), reject: Err(refusal), release: Err(refusal), renew: Err(refusal) }
}

#[test]
fn a_current_lease_allows_everything() {
    let all = Row { settle: Ok(true), reject: Ok(true), release: Ok(Released::Requeued), renew: Ok(150) };
    assert_eq!(row(leased, 50), all);
}

#[test]
fn a_released_lease_can_only_be_released_again() {
    let back_off =
        Policy { backoff: Backoff { initial_seconds: 5, max_seconds: 5, ..Backoff::default() }, ..policy() };
    for policy in [policy(), back_off] {
        let released = || {
            let (mut state, claim) = leased();
            state.release(claim, true, None, &policy, 50).unwrap();
            (state, claim)
        };
        assert_eq!(row(released, 50), Row { release: Ok(Released::Repeated), ..refused(Refusal::Released) });
    }
}

#[test]
fn an_expired_lease_is_refused_before_and_after_its_end_is_processed() {
    assert_eq!(row(leased, LEASE), refused(Refusal::Expired));
    let noticed = || {
        let (mut state, claim) = leased();
        assert_eq!(state.elapse(&policy(), LEASE), Some(Elapsed::Ready(claim.sequence)));
        (state, claim)
    };
    assert_eq!(row(noticed, LEASE), refused(Refusal::Expired));
}

#[test]
fn a_lease_whose_message_was_leased_again_is_superseded() {
    let again = || {
        let (mut state, claim) = leased();
        state.elapse(&policy(), LEASE).unwrap();
        assert_eq!(state.lease_next(300, START).unwrap().deliveries(), 2);
        (state, claim)
    };
    assert_eq!(row(again, 150), refused(Refusal::Superseded));
}

#[test]
fn a_lease_of_another_start_is_superseded() {
    let other = || {
        let (state, claim) = leased();
        (state, Claim { start: START + 1, ..claim })
    };
    assert_eq!(row(other, 50), refused(Refusal::Superseded));
}

#[test]
fn a_settled_message_can_be_settled_again_and_not_released_or_renewed() {
    let gone = Row { settle: Ok(false), reject: Ok(false), ..refused(Refusal::Settled) };
    let settled = || {
        let (mut state, claim) = leased();
        state.settle(claim, 50).unwrap();
        (state, claim)
    };
    assert_eq!(row(settled, 50), gone);
    let rejected = || {
        let (mut state, claim) = leased();
        let is_dead_letter = state.reject(claim, Some("no such part"), &policy(), 50).unwrap();
        assert!(is_dead_letter);
        (state, claim)
    };
    assert_eq!(row(rejected, 50), gone);
}

#[test]
fn the_lease_whose_end_made_a_dead_letter_is_expired() {
    let given_up = || {
        let mut state = ChannelState::default();
        state.store(message(1));
        let once = Policy { max_deliveries: 1, ..policy() };
        let claim = state.lease_next(LEASE, START).unwrap().claim();
        assert_eq!(state.elapse(&once, LEASE), Some(Elapsed::DeadLettered(claim.sequence)));
        assert_eq!(state.count(State::Dead), 1);
        (state, claim)
    };
    assert_eq!(row(given_up, LEASE), refused(Refusal::Expired));
    let (state, claim) = given_up();
    let Phase::Dead(death) = &state.message(claim.sequence).unwrap().phase else { panic!("it lives") };
    assert_eq!((death.cause, death.since), (DeadLetterCause::MaxDeliveries, LEASE));
}

#[test]
fn a_lease_that_a_power_cut_lost_is_expired() {
    let later = || {
        let (state, claim) = leased();
        (state, Claim { lease_number: claim.lease_number + 1, ..claim })
    };
    assert_eq!(row(later, 50), refused(Refusal::Expired));
}
