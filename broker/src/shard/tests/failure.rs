//! Batches in flight: answers are released in order, and after a failure no message is answered as stored.

use super::*;
use crate::channel::State;

fn answer_of(ticket: &Ticket) -> Option<Result<(), StoreFailed>> {
    let mut waiting = Box::pin(ticket.clone().wait());
    match waiting.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop())) {
        Poll::Ready(outcome) => Some(outcome),
        Poll::Pending => None,
    }
}

/// Pushes, each in a batch of its own, all in flight at once; fewer if the log fails meanwhile.
fn in_flight(bench: &mut Bench<Stream>, count: usize) -> Vec<Ticket> {
    let push = |number: usize| {
        let pushed = bench.push(&[0], message(&number.to_string())).ok()?;
        bench.shard.commit();
        Some(pushed.ticket)
    };
    (0..count).map_while(push).collect()
}

#[test]
fn answers_are_released_in_the_order_of_their_batches_even_if_later_batches_commit_first() {
    let mut bench: Bench<Stream> = Bench::new(vec![channel("one")]);
    for _ in 0..20 {
        let tickets = in_flight(&mut bench, 6);
        assert_eq!(tickets.len(), 6);
        wait(|context| {
            let _ = bench.shard.poll_commits(context);
            let answered = tickets.iter().map(|ticket| answer_of(ticket).is_some());
            assert!(
                answered.is_sorted_by(|one, next| one >= next),
                "an answer is released before an earlier one"
            );
            if tickets.iter().all(|ticket| answer_of(ticket).is_some()) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        });
        assert!(tickets.iter().all(|ticket| answer_of(ticket) == Some(Ok(()))));
    }
}

#[test]
fn after_a_failed_batch_no_later_one_is_answered_as_stored_or_found() {
    for failing in 0..6 {
        let mut bench: Bench<Stream> = Bench::new(vec![channel("one")]);
        let stream = bench.place.clone();
        stream.fail_after(Some(failing));
        let mut tickets = in_flight(&mut bench, 6);
        // One message is still in the open batch.
        tickets.extend(bench.push(&[0], message("open")).map(|pushed| pushed.ticket));
        wait(|context| {
            let _ = bench.shard.poll_commits(context);
            if bench.shard.has_failed() { Poll::Ready(()) } else { Poll::Pending }
        });
        let stored = tickets.iter().filter(|ticket| answer_of(ticket) == Some(Ok(()))).count() as u64;
        assert!(stored <= failing);
        for ticket in &tickets[stored as usize..] {
            assert_eq!(answer_of(ticket), Some(Err(StoreFailed)));
        }
        assert!(matches!(bench.push(&[0], message("late")), Err(PushRefusal::StoreFailed)));
        stream.fail_after(None);
        let bench = bench.restart();
        let found = bench.shard.facts.channels.get(&bench.entries[0].id);
        let found = found.map_or(0, |channel| channel.state.count(State::Ready));
        assert_eq!(found, failing, "messages before the failure exist, answered or not");
    }
}

#[test]
fn a_shard_whose_log_was_taken_over_answers_nothing_more() {
    let mut bench: Bench<Stream> = Bench::new(vec![channel("one")]);
    bench.push(&[0], message("first")).unwrap();
    bench.commit();
    let second = start(&bench.place, &bench.folder, &bench.store, &bench.source);
    let ticket = bench.push(&[0], message("second")).unwrap().ticket;
    bench.commit();
    assert_eq!(answer_of(&ticket), Some(Err(StoreFailed)));
    assert!(bench.shard.has_failed());
    let found = second.facts.channels[&bench.entries[0].id].state.count(State::Ready);
    assert_eq!(found, 1);
}

#[test]
fn a_repeated_settle_waits_for_the_first_one_in_flight() {
    let mut bench: Bench<Stream> = Bench::new(vec![channel("one")]);
    bench.push(&[0], message("one")).unwrap();
    bench.commit();
    let delivery = bench.pull(0, 60_000).unwrap();
    bench.commit();
    let number = bench.entries[0].id;
    bench.shard.settle(number, delivery.granted.claim()).map(drop).unwrap();
    bench.shard.commit();
    let mut waited = false;
    let again = bench.shard.settle(number, delivery.granted.claim()).unwrap();
    wait(|context| {
        waited |= answer_of(&again).is_none();
        let _ = bench.shard.poll_commits(context);
        answer_of(&again).map_or(Poll::Pending, Poll::Ready)
    })
    .unwrap();
    assert!(waited);
    assert_eq!(bench.shard.facts.channels[&number].state.messages_count(), 0);
}
