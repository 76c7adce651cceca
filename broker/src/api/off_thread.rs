//! Parsing long bodies on another thread, so that no request blocks the serving thread for more than about a
//! millisecond.

use std::panic::resume_unwind;

use bytes::Bytes;
use tokio::task::spawn_blocking;

/// Up to this size a body is parsed on the serving thread: JSON of this size takes some 300 µs, and the hand-over to
/// another thread some 20 µs.
const AT_ONCE_BYTES_MAX: usize = 256 * 1024;

/// Blocking threads of each worker for long bodies. The operating system schedules them beside the serving thread.
pub(crate) const THREADS_MAX: usize = 2;

/// Parses bytes, on another thread if there are many.
pub(super) async fn read<T: Send + 'static>(
    bytes: &Bytes,
    read: impl FnOnce(&Bytes) -> T + Send + 'static,
) -> T {
    if bytes.len() <= AT_ONCE_BYTES_MAX {
        return read(bytes);
    }
    let bytes = bytes.clone();
    match spawn_blocking(move || read(&bytes)).await {
        Ok(done) => done,
        // A panic belongs to this request, as if it had happened on this thread.
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(_) => unreachable!("a read is not cancelled, and a runtime outlives its requests"),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    async fn is_read_here(bytes: usize) -> bool {
        read(&Bytes::from(vec![0; bytes]), |_| thread::current().id()).await == thread::current().id()
    }

    #[tokio::test]
    async fn a_short_body_is_parsed_on_the_same_thread() {
        assert!(is_read_here(AT_ONCE_BYTES_MAX).await);
    }

    #[tokio::test]
    async fn a_long_body_is_parsed_on_another_thread() {
        assert!(!is_read_here(AT_ONCE_BYTES_MAX + 1).await);
    }

    #[tokio::test]
    #[should_panic(expected = "a defect")]
    async fn a_panic_while_parsing_is_passed_on_to_the_request() {
        read(&Bytes::from(vec![0; AT_ONCE_BYTES_MAX + 1]), |_| panic!("a defect")).await
    }
}
