//! Delays, back-offs, the limit of deliveries, expiry and dead letters, each rule separately.

use restante_wire::{DeadLetterCause, channel::Backoff};

use super::{
    super::{Policy, State, message::Phase},
    acting::{Elapsed, Released},
    *,
};

#[test]
fn an_uncounted_lease_is_not_a_delivery_but_has_its_own_token() {
    let (mut state, claim) = leased();
    state.release(claim, false, None, &policy(), 50).unwrap();
    let again = state.lease_next(200, START).unwrap();
    assert_eq!(again.deliveries(), 1);
    assert_ne!(again.claim(), claim);
}

#[test]
fn a_renewed_lease_does_not_expire_at_its_first_end() {
    let (mut state, claim) = leased();
    state.renew(claim, 250, 50).unwrap();
    assert_eq!(state.elapse(&policy(), LEASE), None);
    assert_eq!(state.elapse(&policy(), 250), Some(Elapsed::Ready(claim.sequence)));
}

#[test]
fn a_delayed_message_is_overtaken_until_it_is_due() {
    let mut state = ChannelState::default();
    state.store(Message { phase: Phase::Delayed { until: 50, ended: None }, ..message(1) });
    state.store(message(2));
    assert_eq!((state.count(State::Delayed), state.in_line()), (1, 1));
    assert_eq!(state.elapse(&policy(), 49), None);
    assert_eq!(state.elapse(&policy(), 50), Some(Elapsed::Ready(0)));
    assert_eq!(state.lease_next(100, START).unwrap().sequence, 0);
}

#[test]
fn a_released_message_backs_off_longer_each_time_and_keeps_its_place() {
    let policy = Policy { backoff: Backoff::default(), max_deliveries: 10, ..policy() };
    let mut state = ChannelState::default();
    let first = state.store(message(1));
    state.store(message(2));
    for (now, pause) in [(0, 1000), (1000, 2000), (3000, 4000)] {
        let granted = state.lease_next(now + 500, START).unwrap();
        assert_eq!(granted.sequence, first);
        assert_eq!(state.release(granted.claim(), true, None, &policy, now), Ok(Released::Requeued));
        assert_eq!(state.next_event(), Some(after(now, pause)));
        assert_eq!(state.elapse(&policy, after(now, pause)), Some(Elapsed::Ready(first)));
    }
    // The receiver's delay precedes the channel's back-off, and an uncounted lease has none.
    let granted = state.lease_next(8000, START).unwrap();
    state.release(granted.claim(), true, Some(7), &policy, 7000).unwrap();
    assert_eq!(state.next_event(), Some(after(7000, 7)));
    state.elapse(&policy, after(7000, 7)).unwrap();
    let mut fresh = ChannelState::default();
    fresh.store(message(1));
    let granted = fresh.lease_next(500, START).unwrap();
    fresh.release(granted.claim(), false, None, &policy, 0).unwrap();
    assert_eq!(fresh.in_line(), 1);
}

#[test]
fn a_message_that_reaches_the_delivery_limit_is_a_dead_letter() {
    let mut state = ChannelState::default();
    state.store(message(1));
    for _ in 0..2 {
        let claim = state.lease_next(100, START).unwrap().claim();
        assert_eq!(state.release(claim, true, None, &policy(), 0), Ok(Released::Requeued));
    }
    let claim = state.lease_next(100, START).unwrap().claim();
    assert_eq!(state.release(claim, true, None, &policy(), 0), Ok(Released::DeadLettered));
    assert_eq!((state.count(State::Dead), state.in_line(), state.messages_count()), (1, 0, 1));
    assert_eq!(state.oldest(), None);

    assert!(state.redrive(0, None));
    assert_eq!(
        state.lease_next(100, START).unwrap().deliveries(),
        1,
        "deliveries are counted from the start again"
    );
    assert!(!state.redrive(0, None), "it is not a dead letter");
}

#[test]
fn a_message_does_not_expire_while_it_is_leased() {
    let mut state = ChannelState::default();
    let stored = Message { expires_at: Some(80), ..message(1) };
    state.store(stored.clone());
    assert_eq!(state.elapse(&policy(), 79), None);
    assert!(matches!(state.elapse(&policy(), 80), Some(Elapsed::Expired(0, _))));

    let sequence = state.store(stored);
    let claim = state.lease_next(LEASE, START).unwrap().claim();
    assert_eq!(state.elapse(&policy(), 90), None, "its receiver may still settle it");
    state.renew(claim, 200, 90).unwrap();
    let Some(Elapsed::Expired(gone, _)) = state.elapse(&policy(), 200) else { panic!("it is there") };
    assert_eq!((gone, state.messages_count(), state.bytes()), (sequence, 0, 0));
}

#[test]
fn an_expired_message_may_become_a_dead_letter_with_its_own_ttl() {
    let policy = Policy { expired: Expired::DeadLetter, dead_for: Some(30), ..policy() };
    let mut state = ChannelState::default();
    let delayed = Phase::Delayed { until: 500, ended: None };
    state.store(Message { expires_at: Some(80), phase: delayed, ..message(1) });
    assert_eq!(state.elapse(&policy, 80), Some(Elapsed::DeadLettered(0)));
    let Phase::Dead(death) = &state.message(0).unwrap().phase else { panic!("it lives") };
    assert_eq!(death.cause, DeadLetterCause::Expired);
    assert_eq!(state.elapse(&policy, 110), None);
    assert!(matches!(state.elapse(&policy, after(80, 30)), Some(Elapsed::Expired(0, _))));
}
