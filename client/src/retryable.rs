//! Which answers are retried. Only this module decides it.

use http::StatusCode;
use restante_wire::ProblemType;

/// Whether a refused request may succeed later, unchanged.
///
/// Statuses 408, 429, 502, 503 and 504 describe a temporary state. So do three problem types: `body-incomplete` (400),
/// because this client sent the whole body and it was cut on the way; `idempotency-in-progress` (409), because the same
/// push is being stored; and `attempt-repeated` (409), because the same pull waits in another request, and a retry gets
/// its answer. Every other answer is about the request itself, which a retry does not change.
pub fn is_retryable(status: StatusCode, problem: Option<ProblemType>) -> bool {
    let is_temporary = matches!(
        problem,
        Some(ProblemType::BodyIncomplete | ProblemType::IdempotencyInProgress | ProblemType::AttemptRepeated)
    );
    is_temporary || matches!(status.as_u16(), 408 | 429 | 502 | 503 | 504)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_temporary_errors_are_retryable() {
        let retryable: Vec<u16> =
            (100..600).filter(|code| is_retryable(StatusCode::from_u16(*code).unwrap(), None)).collect();
        assert_eq!(retryable, [408, 429, 502, 503, 504]);
        assert!(is_retryable(StatusCode::BAD_REQUEST, Some(ProblemType::BodyIncomplete)));
        assert!(!is_retryable(StatusCode::BAD_REQUEST, Some(ProblemType::AddressMalformed)));
        assert!(is_retryable(StatusCode::CONFLICT, Some(ProblemType::IdempotencyInProgress)));
        assert!(is_retryable(StatusCode::CONFLICT, Some(ProblemType::AttemptRepeated)));
        assert!(!is_retryable(StatusCode::UNPROCESSABLE_ENTITY, Some(ProblemType::IdempotencyMismatch)));
        assert!(!is_retryable(StatusCode::GONE, Some(ProblemType::ChannelClosing)));
    }
}
