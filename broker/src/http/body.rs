//! Reading a request's body, within the message's limit and the broker's memory.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures_util::{FutureExt as _, future::BoxFuture};
use http::{HeaderMap, header::CONTENT_LENGTH};
use http_body::Body as _;
use http_body_util::BodyExt;
use restante_wire::ProblemType;
use tokio::time::{Instant, timeout, timeout_at};

use super::HttpError;

/// How much of a body that is refused is read and thrown away, so that the client finishes sending and reads why. More
/// than that and the connection is closed on it.
const DISCARD_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How fast a body must come after its first moments, in bytes a second: slower than any link in use, and fast enough that
/// nobody holds the memory of others for long with next to nothing.
const BODY_BYTES_PER_SECOND_MIN: u64 = 4096;

/// What bodies may take: memory and time.
#[derive(Debug, Clone)]
pub struct BodyLimits {
    /// The memory of all.
    pub memory: BodyMemory,
    /// How long each has, besides the time that its bytes are worth.
    pub timeout: Duration,
}

impl BodyLimits {
    /// How long a body has of which so many bytes have come.
    fn patience(&self, bytes: usize) -> Duration {
        self.timeout + Duration::from_millis(bytes as u64 * 1000 / BODY_BYTES_PER_SECOND_MIN)
    }
}

/// The bytes of all bodies that are being read, up to `--body-memory`; or of all answers that are being sent, up to
/// `--answer-memory`.
#[derive(Debug, Clone)]
pub struct BodyMemory {
    used: Arc<AtomicU64>,
    max: u64,
}

/// A part of the memory, given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    memory: BodyMemory,
    bytes: u64,
}

/// A request's body, and how long its head says that it is.
#[derive(Debug)]
pub struct Announced {
    body: Body,
    bytes: Option<u64>,
}

/// A body, whole.
#[derive(Debug)]
pub struct WholeBody {
    /// Its bytes.
    pub bytes: Bytes,
    /// The memory that they take, for as long as the request goes on.
    pub reservation: Reservation,
}

impl BodyMemory {
    /// Memory for `max` bytes.
    pub fn new(max: u64) -> Self {
        Self { used: Arc::default(), max }
    }

    /// Bytes in use.
    pub fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }

    /// Whether all of it is in use.
    pub fn is_full(&self) -> bool {
        self.used() >= self.max
    }

    /// Takes a part of it that is needed in any case.
    pub fn keep(&self, bytes: usize) -> Reservation {
        self.used.fetch_add(bytes as u64, Relaxed);
        Reservation { memory: self.clone(), bytes: bytes as u64 }
    }

    fn reserve(&self) -> Reservation {
        Reservation { memory: self.clone(), bytes: 0 }
    }
}

impl Reservation {
    /// Takes more; refused when all is in use.
    fn grow(&mut self, bytes: u64) -> Result<(), HttpError> {
        let used = self.memory.used.fetch_add(bytes, Relaxed) + bytes;
        self.bytes += bytes;
        if used > self.memory.max {
            let max = self.memory.max;
            let detail =
                format!("bodies in flight fill their memory of {max} bytes (--body-memory): send again");
            return Err(HttpError::new(ProblemType::Busy, detail));
        }
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.memory.used.fetch_sub(self.bytes, Relaxed);
    }
}

impl Announced {
    /// A request's body.
    pub fn new(body: Body, headers: &HeaderMap) -> Self {
        let bytes = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        Self { body, bytes }
    }

    /// Reads a message's content of at most `max` bytes. What is announced too large is refused before it is read.
    pub async fn read(self, max: u64, limits: &BodyLimits) -> Result<WholeBody, HttpError> {
        self.read_up_to(max, limits, message_too_large).await
    }

    /// Reads a batch of at most `max` bytes.
    pub async fn read_batch(self, max: u64, limits: &BodyLimits) -> Result<WholeBody, HttpError> {
        self.read_up_to(max, limits, batch_too_large).await
    }

    async fn read_up_to(
        mut self,
        max: u64,
        limits: &BodyLimits,
        too_large: fn(u64, u64) -> HttpError,
    ) -> Result<WholeBody, HttpError> {
        let announced = self.bytes;
        let mut reservation = limits.memory.reserve();
        if let Some(announced) = announced {
            if announced > max {
                self.discard(limits).await;
                return Err(too_large(announced, max));
            }
            reservation.grow(announced)?;
        }
        let mut bytes = BytesMut::with_capacity(announced.unwrap_or(0) as usize);
        // Most bodies are there with their heads, and need no clock.
        let mut waits_since = None;
        loop {
            let frame = match self.body.frame().now_or_never() {
                Some(frame) => frame,
                None => {
                    let started = *waits_since.get_or_insert_with(Instant::now);
                    let until = started + limits.patience(bytes.len());
                    let come = timeout_at(until, self.body.frame()).await;
                    come.map_err(|_| too_slow(bytes.len(), started))?
                }
            };
            let Some(frame) = frame else { break };
            let frame = frame.map_err(|error| incomplete(bytes.len(), announced, &error))?;
            let Ok(data) = frame.into_data() else { continue };
            let size = bytes.len() as u64 + data.len() as u64;
            if size > max {
                self.discard(limits).await;
                return Err(too_large(size, max));
            }
            if announced.is_none() {
                reservation.grow(data.len() as u64)?;
            }
            // Copied, because a frame may hold on to a read buffer many times its size.
            bytes.extend_from_slice(&data);
        }
        Ok(WholeBody { bytes: bytes.freeze(), reservation })
    }

    /// Reads the rest of a body that is refused, as far as is worth while. On the heap, because it is rare and every request
    /// would have room for it.
    fn discard<'a>(&'a mut self, limits: &'a BodyLimits) -> impl Future<Output = ()> + 'a {
        let rest = async {
            let mut discarded = 0;
            while let Some(Ok(frame)) = self.body.frame().await {
                discarded += frame.data_ref().map_or(0, |data| data.len() as u64);
                if discarded > DISCARD_BYTES_MAX {
                    break;
                }
            }
        };
        Box::pin(async move {
            let _ = timeout(limits.timeout, rest).await;
        })
    }
}

/// What is left to see of a body that should not be there; nothing where the head says that it is not. On the heap, because
/// it is rare and every request would have room for it.
pub type NoBody = Option<BoxFuture<'static, Result<(), HttpError>>>;

/// Refuses a request that has a body and should have none. A body without a byte is none, however it is framed: in chunks of
/// which there are none, or by an empty frame of HTTP/2, which clients and proxies send for a POST without a body.
pub fn expect_none(mut body: Body, within: Duration) -> Result<NoBody, HttpError> {
    if body.is_end_stream() {
        return Ok(None);
    }
    if body.size_hint().lower() > 0 {
        return Err(unexpected());
    }
    Ok(Some(Box::pin(async move {
        let started = Instant::now();
        let seen = async {
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|error| incomplete(0, None, &error))?;
                if frame.data_ref().is_some_and(|data| !data.is_empty()) {
                    return Err(unexpected());
                }
            }
            Ok(())
        };
        timeout(within, seen).await.unwrap_or_else(|_| Err(too_slow(0, started)))
    })))
}

/// Waits until it is seen that there is no body.
pub async fn none(body: NoBody) -> Result<(), HttpError> {
    match body {
        Some(seen) => seen.await,
        None => Ok(()),
    }
}

fn unexpected() -> HttpError {
    let detail = "this request takes no body; give everything in its path, query and headers";
    HttpError::new(ProblemType::BodyUnexpected, detail)
}

fn incomplete(got: usize, announced: Option<u64>, error: &axum::Error) -> HttpError {
    let of = announced.map(|announced| format!(" of {announced}")).unwrap_or_default();
    let detail = format!("the body ended after {got}{of} bytes ({error}); nothing was stored: send it again");
    HttpError::new(ProblemType::BodyIncomplete, detail)
}

fn too_slow(got: usize, started: Instant) -> HttpError {
    let detail = format!(
        "{got} bytes of the body came in {} s, and a body must come at {BODY_BYTES_PER_SECOND_MIN} bytes a second after its \
         first moments (--body-timeout); nothing was stored: send it again",
        started.elapsed().as_secs()
    );
    HttpError::new(ProblemType::BodyTimeout, detail)
}

fn message_too_large(size: u64, max: u64) -> HttpError {
    let detail = format!(
        "the content has {size} bytes or more, and this channel takes {max} (limits.messageBytes): send less, or raise the limit"
    );
    HttpError::new(ProblemType::MessageTooLarge, detail)
}

fn batch_too_large(size: u64, max: u64) -> HttpError {
    let detail = format!("the batch has {size} bytes or more, and {max} are taken at a time: send several");
    HttpError::new(ProblemType::BatchTooLarge, detail)
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    fn chunks(sizes: &[usize]) -> Body {
        let chunks: Vec<_> = sizes.iter().map(|size| Ok::<_, std::io::Error>(vec![7_u8; *size])).collect();
        Body::from_stream(stream::iter(chunks))
    }

    fn limits(bytes: u64) -> BodyLimits {
        BodyLimits { memory: BodyMemory::new(bytes), timeout: Duration::from_secs(30) }
    }

    fn length(bytes: u64) -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_LENGTH, bytes.into())])
    }

    #[tokio::test]
    async fn a_body_in_chunks_is_put_together_and_its_memory_given_back() {
        let limits = limits(100);
        let whole = Announced::new(chunks(&[30, 0, 40]), &HeaderMap::new()).read(70, &limits).await.unwrap();
        assert_eq!((whole.bytes.len(), limits.memory.used()), (70, 70));
        drop(whole);
        assert_eq!(limits.memory.used(), 0);
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused_whether_announced_or_not() {
        let limits = limits(1000);
        for headers in [HeaderMap::new(), length(71)] {
            let error = Announced::new(chunks(&[30, 41]), &headers).read(70, &limits).await.unwrap_err();
            assert_eq!(error.kind(), ProblemType::MessageTooLarge);
        }
        assert_eq!(limits.memory.used(), 0);
    }

    #[tokio::test]
    async fn when_the_memory_is_in_use_the_broker_is_busy() {
        let limits = limits(100);
        let first = Announced::new(chunks(&[80]), &length(80)).read(100, &limits).await.unwrap();
        for headers in [HeaderMap::new(), length(30)] {
            let error = Announced::new(chunks(&[30]), &headers).read(100, &limits).await.unwrap_err();
            assert_eq!(error.kind(), ProblemType::Busy);
        }
        drop(first);
        assert!(Announced::new(chunks(&[30]), &length(30)).read(100, &limits).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_without_a_byte_is_none_however_it_is_framed() {
        let seen = async |body: Body| match expect_none(body, Duration::from_secs(30)) {
            Ok(seen) => none(seen).await.map_err(|error| error.kind()),
            Err(error) => Err(error.kind()),
        };
        for body in [Body::empty(), Body::from(""), chunks(&[]), chunks(&[0, 0])] {
            assert_eq!(seen(body).await, Ok(()));
        }
        for body in [Body::from("x"), chunks(&[1]), chunks(&[0, 1])] {
            assert_eq!(seen(body).await, Err(ProblemType::BodyUnexpected));
        }
        let never = Body::from_stream(stream::pending::<Result<Vec<u8>, std::io::Error>>());
        assert_eq!(seen(never).await, Err(ProblemType::BodyTimeout));
        let broken = Body::from_stream(stream::iter([Err::<Vec<u8>, _>(std::io::Error::other("cut off"))]));
        assert_eq!(seen(broken).await, Err(ProblemType::BodyIncomplete));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_comes_too_slowly_is_408_and_one_that_comes_at_a_walk_is_taken() {
        let dripping = |bytes: usize, every: u64| {
            Body::from_stream(stream::unfold(0, move |sent| async move {
                tokio::time::sleep(Duration::from_secs(every)).await;
                (sent < 20).then(|| (Ok::<_, std::io::Error>(vec![7_u8; bytes]), sent + 1))
            }))
        };
        let limits = limits(1 << 20);
        let error =
            Announced::new(dripping(1, 5), &HeaderMap::new()).read(1 << 20, &limits).await.unwrap_err();
        assert_eq!(error.kind(), ProblemType::BodyTimeout);
        let whole =
            Announced::new(dripping(20_480, 5), &HeaderMap::new()).read(1 << 20, &limits).await.unwrap();
        assert_eq!(whole.bytes.len(), 20 * 20_480);
    }
}
