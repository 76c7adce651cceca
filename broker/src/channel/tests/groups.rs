//! Message groups and the strict order: at most one message is leased, and the next follows when it is gone.

use restante_wire::channel::Order;

use super::{super::State, acting::Released, *};

fn next(state: &mut ChannelState) -> Option<(u64, Claim)> {
    let granted = state.lease_next(100, START)?;
    Some((granted.stored.enqueued_at, granted.claim()))
}

#[test]
fn one_message_of_a_group_is_leased_at_a_time_and_others_overtake_it() {
    let mut state = ChannelState::default();
    for message in [of_group(1, "a"), of_group(2, "a"), of_group(3, "b"), message(4)] {
        state.store(message);
    }
    let (first, claim) = next(&mut state).unwrap();
    assert_eq!(first, 1);
    assert_eq!(next(&mut state).unwrap().0, 3);
    assert_eq!(next(&mut state).unwrap().0, 4);
    assert_eq!(next(&mut state), None);
    assert_eq!(
        (state.count(State::Ready), state.in_line()),
        (1, 0),
        "it is ready, but another message has the turn"
    );
    assert_eq!(state.oldest_ready(), Some(1));
    state.settle(claim, 0).unwrap();
    assert_eq!(next(&mut state).unwrap().0, 2);
}

#[test]
fn a_group_waits_while_its_first_message_backs_off_and_continues_when_it_is_a_dead_letter() {
    let policy = Policy { max_deliveries: 2, ..policy() };
    let mut state = ChannelState::default();
    state.store(of_group(1, "a"));
    state.store(of_group(2, "a"));
    let (_, claim) = next(&mut state).unwrap();
    assert_eq!(state.release(claim, true, Some(50), &policy, 0), Ok(Released::Requeued));
    assert_eq!(next(&mut state), None);
    state.elapse(&policy, after(0, 50)).unwrap();
    let (first, claim) = next(&mut state).unwrap();
    assert_eq!(first, 1);
    state.release(claim, true, None, &policy, 60).unwrap();
    assert_eq!(state.count(State::Dead), 1);
    assert_eq!(next(&mut state).unwrap().0, 2);
}

#[test]
fn a_redriven_dead_letter_takes_its_old_place_in_its_group() {
    let mut state = ChannelState::default();
    for number in 1..=2 {
        state.store(of_group(number, "a"));
    }
    let (_, claim) = next(&mut state).unwrap();
    state.reject(claim, None, &policy(), 0).unwrap();
    assert!(state.redrive(0, None));
    assert_eq!(next(&mut state).unwrap().0, 1);
    assert_eq!(next(&mut state), None);
}

#[test]
fn in_the_strict_order_the_whole_channel_is_one_group() {
    let mut state = ChannelState::default();
    state.set_order(Order::Strict);
    for message in [of_group(1, "a"), of_group(2, "b"), message(3)] {
        state.store(message);
    }
    let (_, claim) = next(&mut state).unwrap();
    assert_eq!(next(&mut state), None);
    // A change of the order does not end leases.
    state.set_order(Order::Fifo);
    assert_eq!(next(&mut state).unwrap().0, 2);
    state.set_order(Order::Strict);
    assert_eq!(next(&mut state), None);
    state.settle(claim, 0).unwrap();
    assert_eq!(next(&mut state), None, "the second is still leased");
}
