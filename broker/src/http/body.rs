//! Reading a request's body, within the size limit of the message and the memory share of the caller.

use std::{
    error::Error,
    io::{self, ErrorKind},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, header::CONTENT_LENGTH};
use http_body::Body as _;
use restante_wire::ProblemType;

use super::{
    Caller, HttpError,
    paced::{Broken, Paced},
    progress,
};
use crate::shared::{Allocation, Budget};

/// The time for a body of the control API, in addition to the time that its size allows: longer than any pause of a
/// working network.
const OPERATORS_PATIENCE: Duration = Duration::from_secs(30);

/// A request's body with its announced length.
#[derive(Debug)]
pub struct Announced {
    body: Paced,
    /// The value of `Content-Length`.
    bytes: Option<u64>,
}

/// The maximum size of a body.
#[derive(Debug, Clone, Copy)]
struct SizeLimit {
    /// The limit of the contract or of the channel.
    bytes: u64,
    /// The memory for bodies if no other request used it.
    memory: u64,
    of: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Message,
    Batch,
}

impl SizeLimit {
    /// Refuses a body that exceeds a limit on its own, so that a retry cannot help.
    fn check(self, size: u64) -> Result<(), HttpError> {
        if size > self.bytes {
            return Err(match self.of {
                Kind::Message => message_too_large(size, self.bytes),
                Kind::Batch => batch_too_large(size, self.bytes),
            });
        }
        if size > self.memory {
            return Err(beyond_memory(self.of, size, self.memory));
        }
        Ok(())
    }
}

/// A body that was read completely.
#[derive(Debug)]
pub struct WholeBody {
    /// The content of the body.
    pub bytes: Bytes,
    /// The memory of the body, counted until the request ends.
    pub memory: Allocation,
}

impl WholeBody {
    /// Counts the same amount of memory once more, for the parsed body.
    pub fn double(&mut self, caller: &Caller) -> Result<(), HttpError> {
        if self.memory.grow(self.bytes.len() as u64) { Ok(()) } else { Err(busy(caller)) }
    }
}

impl Announced {
    /// The body of a request with these headers.
    pub fn new(body: Body, headers: &HeaderMap) -> Self {
        let bytes = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        Self { body: Paced::new(body), bytes }
    }

    /// Reads a message's body of at most `max` bytes. A body whose announced length is too large is refused before
    /// it is read.
    pub async fn read(self, max: u64, caller: &Caller, timeout: Duration) -> Result<WholeBody, HttpError> {
        let most = SizeLimit { bytes: max, memory: caller.bodies().budget().max(), of: Kind::Message };
        self.read_up_to(most, caller, timeout).await
    }

    /// Reads a batch of at most `max` bytes, which will take `times` its size in memory.
    pub async fn read_batch(
        self,
        max: u64,
        times: u64,
        caller: &Caller,
        timeout: Duration,
    ) -> Result<WholeBody, HttpError> {
        let most = SizeLimit { bytes: max, memory: caller.bodies().budget().max() / times, of: Kind::Batch };
        self.read_up_to(most, caller, timeout).await
    }

    async fn read_up_to(
        mut self,
        most: SizeLimit,
        caller: &Caller,
        timeout: Duration,
    ) -> Result<WholeBody, HttpError> {
        let announced = self.bytes;
        // Before the first poll, so that a client with `Expect: 100-continue` need not send the body.
        most.check(announced.unwrap_or(0))?;
        let mut memory = caller.bodies().take_anyway(0);
        let mut bytes: Vec<u8> = Vec::new();
        let patience = || patience(timeout, caller.bodies().budget());
        while let Some(data) = self.body.next(patience).await.map_err(|broken| self.broken(broken))? {
            let size = bytes.len() + data.len();
            most.check(size as u64)?;
            if size > bytes.capacity() {
                // Memory is counted when it is allocated: announced bytes that have not arrived take none.
                let end = announced.unwrap_or(most.bytes).min(most.memory);
                let room = (bytes.capacity() * 2).min(end as usize).max(size);
                if !memory.grow((room - bytes.capacity()) as u64) {
                    return Err(busy(caller));
                }
                bytes.reserve_exact(room - bytes.len());
            }
            // Copied, because a frame may keep a read buffer alive that is many times its size.
            bytes.extend_from_slice(&data);
        }
        // The body may stay in memory for long.
        bytes.shrink_to_fit();
        memory.shrink_to(bytes.len() as u64);
        Ok(WholeBody { bytes: bytes.into(), memory })
    }

    fn broken(&self, broken: Broken) -> HttpError {
        match broken {
            Broken::TooSlow { bytes, seconds } => too_slow(bytes, seconds, "nothing was stored"),
            Broken::Incomplete { bytes, error } => {
                let of = self.bytes.map(|announced| format!(" of {announced}")).unwrap_or_default();
                incomplete(bytes, &of, &error, "nothing was stored")
            }
        }
    }
}

/// Reads a body of the control API part by part.
pub async fn read_parts(
    body: Body,
    mut take: impl FnMut(&[u8]) -> Result<(), HttpError>,
) -> Result<(), HttpError> {
    let mut body = Paced::new(body);
    loop {
        let part = body.next(|| OPERATORS_PATIENCE).await.map_err(|broken| match broken {
            Broken::TooSlow { bytes, seconds } => too_slow(bytes, seconds, "nothing was applied"),
            Broken::Incomplete { bytes, error } => incomplete(bytes, "", &error, "nothing was applied"),
        })?;
        match part {
            Some(part) => take(&part)?,
            None => return Ok(()),
        }
    }
}

/// The time for a body, in addition to the time that its size allows: `timeout` while half of the memory is free, and
/// down to a tenth of it as the memory fills.
fn patience(timeout: Duration, memory: &Budget) -> Duration {
    let left = memory.available() as f64 * 2.0 / memory.max().max(1) as f64;
    timeout.mul_f64(left.clamp(0.1, 1.0))
}

/// The check that a body is empty; `None` if the request's head already shows it. On the heap, because it is rare and
/// would enlarge the future of every request.
pub type NoBody = Option<BoxFuture<'static, Result<(), HttpError>>>;

/// Refuses a request that has a body and should have none. An empty body counts as no body, however it is framed:
/// clients and proxies send chunked encoding without chunks, or an empty HTTP/2 frame, for a POST without a body.
pub fn expect_none(body: Body, within: Duration) -> Result<NoBody, HttpError> {
    if body.is_end_stream() {
        return Ok(None);
    }
    if body.size_hint().lower() > 0 {
        return Err(unexpected());
    }
    Ok(Some(Box::pin(async move {
        let mut body = Paced::new(body);
        loop {
            match body.next(|| within).await {
                Ok(None) => return Ok(()),
                Ok(Some(part)) if part.is_empty() => {}
                Ok(Some(_)) => return Err(unexpected()),
                Err(Broken::TooSlow { bytes, seconds }) => {
                    return Err(too_slow(bytes, seconds, "nothing was done"));
                }
                Err(Broken::Incomplete { error, .. }) if is_malformed(&error) => return Err(unexpected()),
                Err(Broken::Incomplete { bytes, error }) => {
                    return Err(incomplete(bytes, "", &error, "nothing was done"));
                }
            }
        }
    })))
}

/// Waits for the result of [`expect_none`].
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

fn busy(caller: &Caller) -> HttpError {
    let (own, all) = (caller.bodies().used(), caller.bodies().budget());
    let detail = format!(
        "the limit of request bodies in flight is reached: {} of {} bytes, {own} of them from this client \
         (--body-memory); try again",
        all.used(),
        all.max()
    );
    HttpError::new(ProblemType::Busy, detail)
}

fn incomplete(bytes: u64, of: &str, error: &axum::Error, outcome: &str) -> HttpError {
    if is_malformed(error) {
        let detail =
            format!("the body's chunked encoding is malformed after {bytes} bytes ({error}); {outcome}");
        return HttpError::new(ProblemType::BodyMalformed, detail);
    }
    let detail = format!("the body ended after {bytes}{of} bytes ({error}); {outcome}; send it again");
    HttpError::new(ProblemType::BodyIncomplete, detail)
}

/// Whether a body broke off because it is malformed, so that a repeat would fail again. hyper tells it by the kind of
/// the innermost error.
fn is_malformed(error: &axum::Error) -> bool {
    let mut at_bottom = None;
    let mut source: Option<&dyn Error> = Some(error);
    while let Some(error) = source {
        at_bottom = error.downcast_ref::<io::Error>().or(at_bottom);
        source = error.source();
    }
    at_bottom.is_some_and(|error| matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::InvalidData))
}

fn too_slow(bytes: u64, seconds: u64, outcome: &str) -> HttpError {
    let detail = format!(
        "the body arrived too slowly: {bytes} bytes in {seconds} s; after --body-timeout the minimum is {} bytes per \
         second; {outcome}; send it again",
        progress::BYTES_PER_SECOND_MIN
    );
    HttpError::new(ProblemType::BodyTimeout, detail)
}

fn message_too_large(size: u64, max: u64) -> HttpError {
    let detail = format!(
        "the body has at least {size} bytes, which exceeds the channel's limit of {max} (limits.messageBytes); send \
         less, or raise the limit"
    );
    HttpError::new(ProblemType::MessageTooLarge, detail)
}

fn beyond_memory(of: Kind, size: u64, max: u64) -> HttpError {
    let (kind, what, instead) = match of {
        Kind::Message => (ProblemType::MessageTooLarge, "body", "send less"),
        Kind::Batch => (ProblemType::BatchTooLarge, "batch", "send several"),
    };
    let detail = format!(
        "the {what} has at least {size} bytes, which exceeds the memory that one request may take: {max} bytes \
         (--body-memory); {instead}, or raise the limit"
    );
    HttpError::new(kind, detail)
}

fn batch_too_large(size: u64, max: u64) -> HttpError {
    let detail =
        format!("the batch has at least {size} bytes, which exceeds the limit of {max}; send several");
    HttpError::new(ProblemType::BatchTooLarge, detail)
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use futures_util::stream;
    use tokio::time::Instant;

    use super::*;
    use crate::http::{CallerCounts, CallerLimits, Callers, TrustedProxies};

    const TIMEOUT: Duration = Duration::from_secs(30);
    const ME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn chunks(sizes: &[usize]) -> Body {
        let chunks: Vec<_> = sizes.iter().map(|size| Ok::<_, io::Error>(vec![7_u8; *size])).collect();
        Body::from_stream(stream::iter(chunks))
    }

    /// A part now and then.
    fn dripping(bytes: usize, every: u64) -> Body {
        Body::from_stream(stream::unfold((), move |()| async move {
            tokio::time::sleep(Duration::from_secs(every)).await;
            Some((Ok::<_, io::Error>(vec![7_u8; bytes]), ()))
        }))
    }

    fn callers(bytes: u64) -> Callers {
        Callers::new(
            CallerLimits { requests: 10, body_bytes: bytes, answer_bytes: 0 },
            &CallerCounts::unread(),
            TrustedProxies::default(),
        )
    }

    fn length(bytes: u64) -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_LENGTH, bytes.into())])
    }

    #[tokio::test]
    async fn a_chunked_body_is_joined_and_its_memory_returned() {
        let callers = callers(1000);
        let body = Announced::new(chunks(&[30, 0, 40]), &HeaderMap::new());
        let whole = body.read(70, &callers.at(ME), TIMEOUT).await.unwrap();
        assert_eq!((whole.bytes.len(), callers.bodies().used()), (70, 70));
        drop(whole);
        assert_eq!(callers.bodies().used(), 0);
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused_whether_announced_or_not() {
        let callers = callers(1000);
        for headers in [HeaderMap::new(), length(71)] {
            let body = Announced::new(chunks(&[30, 41]), &headers);
            let error = body.read(70, &callers.at(ME), TIMEOUT).await.unwrap_err();
            assert_eq!(error.kind(), ProblemType::MessageTooLarge);
        }
        assert_eq!(callers.bodies().used(), 0);
    }

    #[tokio::test]
    async fn a_body_announced_above_the_limit_is_refused_unread() {
        let parts = stream::poll_fn(|_| -> std::task::Poll<Option<Result<Bytes, io::Error>>> {
            panic!("it was asked for")
        });
        let body = Announced::new(Body::from_stream(parts), &length(71));
        assert!(body.read(70, &callers(1000).at(ME), TIMEOUT).await.is_err());
    }

    #[tokio::test]
    async fn a_body_that_never_fits_the_memory_is_too_large_whether_announced_or_not() {
        let callers = callers(100);
        for headers in [HeaderMap::new(), length(101)] {
            let body = || Announced::new(chunks(&[60, 41]), &headers);
            let message = body().read(1000, &callers.at(ME), TIMEOUT).await.unwrap_err();
            let batch = body().read_batch(1000, 1, &callers.at(ME), TIMEOUT).await.unwrap_err();
            let kinds = [message.kind(), batch.kind()];
            assert_eq!(kinds, [ProblemType::MessageTooLarge, ProblemType::BatchTooLarge]);
            let detail = message.problem().detail;
            assert!(detail.contains("100") && detail.contains("--body-memory"), "{detail}");
        }
        assert_eq!(callers.bodies().used(), 0);
    }

    #[tokio::test]
    async fn a_body_as_large_as_the_whole_memory_is_accepted_if_no_other_uses_it() {
        let callers = callers(100);
        for headers in [HeaderMap::new(), length(100)] {
            let body = Announced::new(chunks(&[30, 30, 30, 10]), &headers);
            assert!(body.read(1000, &callers.at(ME), TIMEOUT).await.is_ok());
        }
    }

    #[tokio::test]
    async fn a_batch_must_fit_the_memory_together_with_its_parsed_items() {
        let callers = callers(100);
        for headers in [HeaderMap::new(), length(50)] {
            let body = Announced::new(chunks(&[30, 20]), &headers);
            let mut whole = body.read_batch(1000, 2, &callers.at(ME), TIMEOUT).await.unwrap();
            assert_eq!(whole.double(&callers.at(ME)), Ok(()));
            assert_eq!(callers.bodies().used(), 100);
        }
        let body = Announced::new(chunks(&[30, 21]), &HeaderMap::new());
        let error = body.read_batch(1000, 2, &callers.at(ME), TIMEOUT).await.unwrap_err();
        assert_eq!(error.kind(), ProblemType::BatchTooLarge);
    }

    #[tokio::test]
    async fn a_body_above_the_free_memory_is_refused_as_busy() {
        let callers = callers(100);
        let caller = callers.at(ME);
        let first = Announced::new(chunks(&[80]), &length(80)).read(100, &caller, TIMEOUT).await.unwrap();
        for headers in [HeaderMap::new(), length(30)] {
            let error =
                Announced::new(chunks(&[30]), &headers).read(100, &caller, TIMEOUT).await.unwrap_err();
            assert_eq!(error.kind(), ProblemType::Busy);
        }
        drop(first);
        assert!(Announced::new(chunks(&[30]), &length(30)).read(100, &caller, TIMEOUT).await.is_ok());
    }

    #[tokio::test]
    async fn one_client_leaves_memory_to_others() {
        let callers = callers(1000);
        let greedy = callers.at(ME);
        let mut held = Vec::new();
        while let Ok(whole) = Announced::new(chunks(&[50]), &length(50)).read(100, &greedy, TIMEOUT).await {
            held.push(whole);
        }
        assert_eq!(held.len(), 15);
        let other = callers.at(Ipv4Addr::new(10, 0, 0, 1).into());
        assert!(Announced::new(chunks(&[50]), &length(50)).read(100, &other, TIMEOUT).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn an_empty_body_counts_as_no_body_with_any_framing() {
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
        let never = Body::from_stream(stream::pending::<Result<Vec<u8>, io::Error>>());
        assert_eq!(seen(never).await, Err(ProblemType::BodyTimeout));
        let broken = Body::from_stream(stream::iter([Err::<Vec<u8>, _>(io::Error::other("cut off"))]));
        assert_eq!(seen(broken).await, Err(ProblemType::BodyIncomplete));
    }

    #[tokio::test(start_paused = true)]
    async fn announced_bytes_take_no_memory_before_they_arrive() {
        let callers = callers(100);
        let (caller, other) = (callers.at(ME), callers.at(Ipv4Addr::new(10, 0, 0, 1).into()));
        let announcing = Announced::new(dripping(1, 1), &length(100));
        let announcing = announcing.read(100, &caller, TIMEOUT);
        tokio::select! {
            _ = announcing => panic!("it takes longer"),
            whole = Announced::new(chunks(&[90]), &length(90)).read(100, &other, TIMEOUT) => {
                assert!(whole.is_ok());
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_below_the_minimum_rate_is_408() {
        let body = Announced::new(dripping(1, 5), &HeaderMap::new());
        let error = body.read(1 << 20, &callers(4 << 20).at(ME), TIMEOUT).await.unwrap_err();
        assert_eq!(error.kind(), ProblemType::BodyTimeout);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_at_the_minimum_rate_does_not_time_out() {
        let body = Announced::new(dripping(20_480, 5), &length(20 * 20_480));
        let error = body.read(20 * 20_480 - 1, &callers(4 << 20).at(ME), TIMEOUT).await.unwrap_err();
        assert_eq!(error.kind(), ProblemType::MessageTooLarge);
        let body = Announced::new(dripping(20_480, 5), &HeaderMap::new());
        let error = body.read(20 * 20_480, &callers(4 << 20).at(ME), TIMEOUT).await.unwrap_err();
        assert_eq!(error.kind(), ProblemType::MessageTooLarge, "it came that far");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_without_progress_times_out_earlier_when_memory_is_short() {
        let callers = callers(1000);
        let _held = callers.at(Ipv4Addr::new(10, 0, 0, 1).into()).bodies().take(950).unwrap();
        let began = Instant::now();
        let body = Announced::new(dripping(1, 60), &HeaderMap::new());
        let error = body.read(100, &callers.at(ME), TIMEOUT).await.unwrap_err();
        assert_eq!((error.kind(), began.elapsed().as_secs()), (ProblemType::BodyTimeout, 3));
    }
}
