//! Wraps a connection's socket: counts written bytes, times out a peer that does not read, and reads on from a peer
//! that still sends a refused body, so that the peer gets its answer.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use prometheus::IntCounter;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use super::{control_frames::ControlFrames, line::Line, progress::Stall, version::Version};

/// How many bytes of a refused request's body are read and discarded: four times the largest message.
const DISCARD_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long discarding may take, and how long the peer may be silent: the values of nginx's `lingering_time` and
/// `lingering_timeout`.
const DISCARD_FOR: Duration = Duration::from_secs(30);
const DISCARD_SILENCE: Duration = Duration::from_secs(5);

/// Up to this size, buffers are copied together before a write: the copy costs less than the difference of `writev` and
/// `send`.
const TOGETHER_BYTES_MAX: usize = 4096;

/// A socket that reports reads and flushes to its line, and fails if a write is blocked for too long.
pub(super) struct WatchedSocket<S> {
    stream: S,
    line: Arc<Line>,
    write_timeout: Duration,
    write_timeouts: IntCounter,
    /// For HTTP/2.
    frames: Option<Box<ControlFrames>>,
    /// The wait for the peer, if a write is blocked.
    stall: Option<Stall>,
    discard: Option<Box<Discard>>,
    /// The time-out of the stall or of discarding.
    timer: Option<Pin<Box<Sleep>>>,
}

/// The state of reading and discarding after the last answer.
struct Discard {
    bytes: usize,
    ends_at: Instant,
    silent_since: Instant,
}

impl<S> WatchedSocket<S> {
    pub(super) fn new(
        stream: S,
        line: &Arc<Line>,
        version: Version,
        (write_timeout, write_timeouts): (Duration, IntCounter),
    ) -> Self {
        Self {
            stream,
            line: line.clone(),
            write_timeout,
            write_timeouts,
            frames: (version == Version::Http2).then(|| Box::new(ControlFrames::new())),
            stall: None,
            discard: None,
            timer: None,
        }
    }

    /// Records the result of a write, and times out a blocked one.
    fn written(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(written) = written {
            if let Ok(bytes) = &written {
                self.stall.iter_mut().for_each(|stall| stall.record_progress(*bytes));
                self.frames.iter_mut().for_each(|frames| frames.wrote(*bytes));
            }
            return Poll::Ready(written);
        }
        let stall = *self.stall.get_or_insert_with(Stall::begun);
        ready!(self.poll_until(context, stall.ends_at(self.write_timeout)));
        self.write_timeouts.inc();
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer took its answer too slowly")))
    }

    fn poll_until(&mut self, context: &mut Context<'_>, at: Instant) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if timer.deadline() != at {
            timer.as_mut().reset(at);
        }
        timer.as_mut().poll(context)
    }
}

impl<S: AsyncRead + Unpin> WatchedSocket<S> {
    /// Reads and discards until the peer sends no more, within limits.
    fn poll_discard(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut scratch = [0; 16 * 1024];
        loop {
            let mut buffer = ReadBuf::new(&mut scratch);
            let read = Pin::new(&mut self.stream).poll_read(context, &mut buffer);
            let Some(discard) = &mut self.discard else { return Poll::Ready(()) };
            match read {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    discard.bytes += buffer.filled().len();
                    discard.silent_since = Instant::now();
                    if discard.bytes > DISCARD_BYTES_MAX || discard.silent_since >= discard.ends_at {
                        return Poll::Ready(());
                    }
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => {
                    let until = discard.ends_at.min(discard.silent_since + DISCARD_SILENCE);
                    return self.poll_until(context, until);
                }
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WatchedSocket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let record_head_bytes = &buffer.filled()[before..];
        match &mut self.frames {
            Some(frames) => frames.read(record_head_bytes).map_err(io::Error::other)?,
            None if !record_head_bytes.is_empty() => self.line.record_head_bytes(),
            None => {}
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WatchedSocket<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // Short buffers, such as a head with a small content, are copied together and written by a cheaper system call.
        let bytes: usize = slices.iter().map(|slice| slice.len()).sum();
        let written = if bytes <= TOGETHER_BYTES_MAX {
            let mut together = [0; TOGETHER_BYTES_MAX];
            let mut end = 0;
            for slice in slices {
                together[end..end + slice.len()].copy_from_slice(slice);
                end += slice.len();
            }
            Pin::new(&mut self.stream).poll_write(context, &together[..end])
        } else {
            Pin::new(&mut self.stream).poll_write_vectored(context, slices)
        };
        self.written(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        self.stall = None;
        self.line.undelivered.flushed();
        Poll::Ready(Ok(()))
    }

    /// Closing a connection with unread bytes resets it, and the peer loses an answer that it has not read yet (RFC
    /// 9112 section 9.6). So the rest of the peer's bytes is discarded first.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.discard.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
            if !self.line.has_unread() {
                return Poll::Ready(Ok(()));
            }
            let now = Instant::now();
            let discard = Discard { bytes: 0, ends_at: now + DISCARD_FOR, silent_since: now };
            self.discard = Some(Box::new(discard));
        }
        ready!(self.poll_discard(context));
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
        time::sleep,
    };

    use super::*;
    use crate::{clock::Clock, drain::Drain};

    const PATIENCE: Duration = Duration::from_secs(30);

    struct Test {
        ours: WatchedSocket<DuplexStream>,
        theirs: DuplexStream,
        line: Arc<Line>,
        timeouts: IntCounter,
    }

    fn connection(bytes: usize) -> Test {
        let timeouts = IntCounter::new("timeouts", "of the test").unwrap();
        let line = Line::new(Ipv4Addr::LOCALHOST.into(), &Drain::new(), &Clock::of_test());
        let (ours, theirs) = duplex(bytes);
        let patience = (PATIENCE, timeouts.clone());
        let ours = WatchedSocket::new(ours, &line, Version::Http1, patience);
        Test { ours, theirs, line, timeouts }
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_reads_nothing_is_disconnected() {
        let Test { mut ours, theirs, timeouts, .. } = connection(10);
        let began = Instant::now();
        assert_eq!(ours.write_all(&[7; 100]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!((PATIENCE..PATIENCE + Duration::from_secs(1)).contains(&began.elapsed()));
        assert_eq!(timeouts.get(), 1);
        drop(theirs);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_reads_below_the_minimum_rate_is_disconnected() {
        let Test { mut ours, mut theirs, .. } = connection(10);
        let writing = tokio::spawn(async move { ours.write_all(&[7; 1000]).await });
        sleep(PATIENCE / 2).await;
        theirs.read_exact(&mut [0; 10]).await.unwrap();
        sleep(PATIENCE / 2 + Duration::from_secs(1)).await;
        assert_eq!(writing.await.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_reads_at_the_minimum_rate_gets_its_whole_answer() {
        let Test { mut ours, mut theirs, .. } = connection(4096);
        let writing = tokio::spawn(async move { ours.write_all(&[7; 100 * 4096]).await });
        for _ in 0..100 {
            sleep(Duration::from_secs(1)).await;
            theirs.read_exact(&mut [0; 4096]).await.unwrap();
        }
        assert!(writing.await.unwrap().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn the_remaining_bytes_of_a_peer_are_discarded_before_its_connection_closes() {
        let Test { mut ours, mut theirs, line, .. } = connection(1024);
        drop(line.answering());
        line.leaves_unread(None);
        let closing = tokio::spawn(async move { ours.shutdown().await });
        theirs.write_all(&[7; 5 << 20]).await.unwrap();
        assert!(!closing.is_finished());
        theirs.shutdown().await.unwrap();
        closing.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn the_connection_of_a_silent_peer_closes_after_the_time_limit_of_discarding() {
        let Test { mut ours, theirs, line, .. } = connection(1024);
        line.leaves_unread(None);
        let began = Instant::now();
        ours.shutdown().await.unwrap();
        assert_eq!(began.elapsed().as_secs(), DISCARD_SILENCE.as_secs());
        drop(theirs);
    }

    #[tokio::test(start_paused = true)]
    async fn the_connection_of_a_peer_that_never_stops_closes_at_the_byte_limit_of_discarding() {
        let Test { mut ours, mut theirs, line, .. } = connection(1 << 20);
        line.leaves_unread(None);
        let closing = tokio::spawn(async move { ours.shutdown().await });
        let mut sent = 0;
        while theirs.write_all(&[7; 1 << 20]).await.is_ok() {
            sent += 1 << 20;
        }
        assert!((DISCARD_BYTES_MAX..DISCARD_BYTES_MAX + (4 << 20)).contains(&sent), "{sent}");
        closing.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_unread_bytes_closes_at_once() {
        let Test { mut ours, theirs, line, .. } = connection(1024);
        drop(line.answering());
        let began = Instant::now();
        ours.shutdown().await.unwrap();
        assert_eq!(began.elapsed().as_secs(), 0);
        drop(theirs);
    }
}
