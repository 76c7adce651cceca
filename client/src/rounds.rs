//! Retries of requests with many items, each of which has a result of its own: only items that may still succeed are
//! sent again.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use crate::{
    error::RequestError,
    retry::{Backoff, RetryFailure, RetryOptions},
};

/// Sends `count` items in rounds, until each has a final result or the deadline passes. `once` gets the indexes of the
/// remaining items in ascending order, and returns a result for each in the same order. Calls `on_retry` before each
/// pause, with one of the errors that caused it.
pub(crate) async fn until_all_answered<T, F>(
    options: RetryOptions,
    deadline: Option<Instant>,
    count: usize,
    mut on_retry: impl FnMut(&RequestError, Duration),
    mut once: impl FnMut(Vec<usize>) -> F,
) -> Vec<Result<T, RetryFailure>>
where
    F: Future<Output = Result<Vec<Result<T, RequestError>>, RequestError>>,
{
    let mut backoff = Backoff::new(options);
    let mut results: Vec<Option<Result<T, RetryFailure>>> = (0..count).map(|_| None).collect();
    let mut last: Vec<Option<RequestError>> = vec![None; count];
    let mut left: Vec<usize> = (0..count).collect();
    while !left.is_empty() && deadline.is_none_or(|deadline| Instant::now() < deadline) {
        let round = once(left.clone());
        let tried = match deadline {
            Some(deadline) => match timeout_at(deadline, round).await {
                Ok(tried) => tried,
                Err(_) => break,
            },
            None => round.await,
        };
        let answers = match tried {
            Ok(answers) => answers,
            Err(error) => left.iter().map(|_| Err(error.clone())).collect(),
        };
        let sent_count = left.len();
        let mut passing = None;
        for (item, answer) in std::mem::take(&mut left).into_iter().zip(answers) {
            match answer {
                Err(error) if error.is_retryable() => {
                    left.push(item);
                    passing.get_or_insert_with(|| error.clone());
                    last[item] = Some(error);
                }
                answer => results[item] = Some(answer.map_err(RetryFailure::Final)),
            }
        }
        let Some(error) = passing else { break };
        if left.len() < sent_count {
            backoff.reset();
        }
        let delay = backoff.next(error.refusal().and_then(|refusal| refusal.retry_after));
        if deadline.is_some_and(|deadline| Instant::now() + delay >= deadline) {
            break;
        }
        on_retry(&error, delay);
        sleep(delay).await;
    }
    let given_up = last.into_iter().map(|last| Err(RetryFailure::Deadline { last }));
    results.into_iter().zip(given_up).map(|(result, given_up)| result.unwrap_or(given_up)).collect()
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn busy() -> RequestError {
        RequestError::Unreachable { url: "http://broker".into(), reason: "refused".into() }
    }

    fn foreign() -> RequestError {
        RequestError::NotABroker { url: "http://broker".into(), reason: "a page".into() }
    }

    #[tokio::test(start_paused = true)]
    async fn only_items_that_may_still_succeed_are_sent_again() {
        let rounds = RefCell::new(Vec::new());
        let results =
            until_all_answered(
                RetryOptions::default(),
                None,
                4,
                |_, _| {},
                |left| {
                    rounds.borrow_mut().push(left.clone());
                    let round = rounds.borrow().len();
                    let answer = move |item| match (round, item) {
                        (1, 1) | (2 | 3, 3) => Err(busy()),
                        (1, 3) => Err(busy()),
                        (_, 2) => Err(foreign()),
                        _ => Ok(item),
                    };
                    async move {
                        if round == 2 { Err(busy()) } else { Ok(left.into_iter().map(answer).collect()) }
                    }
                },
            )
            .await;
        assert_eq!(rounds.into_inner(), [vec![0, 1, 2, 3], vec![1, 3], vec![1, 3], vec![3]]);
        assert!(matches!(&results[..], [Ok(0), Ok(1), Err(RetryFailure::Final(_)), Ok(3)]), "{results:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_item_without_a_result_at_the_deadline_has_its_last_error() {
        let start = Instant::now();
        let deadline = Some(start + Duration::from_secs(3));
        let results: Vec<Result<(), _>> = until_all_answered(
            RetryOptions::default(),
            deadline,
            2,
            |_, _| {},
            |left| async move {
                Ok(left.into_iter().map(|item| if item == 0 { Ok(()) } else { Err(busy()) }).collect())
            },
        )
        .await;
        assert!(
            matches!(&results[..], [Ok(()), Err(RetryFailure::Deadline { last: Some(_) })]),
            "{results:?}"
        );
        assert!(start.elapsed() <= Duration::from_secs(3));
    }
}
