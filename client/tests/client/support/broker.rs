//! A scripted broker: it records each request, and the test's script answers it.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::watch,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use super::{reply::Reply, soon};

/// A recorded request.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Seen {
    /// `METHOD path`.
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// Requests so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log {
    pub(crate) seen: Vec<Seen>,
    /// Requests that were never answered and whose connection the client closed.
    pub(crate) hung_up: usize,
}

impl Log {
    /// Number of requests with this `METHOD path`.
    pub(crate) fn count(&self, line: &str) -> usize {
        self.seen.iter().filter(|seen| seen.line() == line).count()
    }
}

/// A running broker. Dropping it stops the broker.
pub(crate) struct Broker {
    pub(crate) url: String,
    pub(crate) port: u16,
    log: watch::Sender<Log>,
    _tasks: JoinSet<()>,
}

type Script = dyn Fn(&Seen, usize) -> Reply + Send + Sync;

impl Broker {
    /// Starts a broker whose script gets each request and its number, from 0.
    pub(crate) async fn start(script: impl Fn(&Seen, usize) -> Reply + Send + Sync + 'static) -> Self {
        Self::listen(Arc::new(script), None).await
    }

    /// Like `start`, behind TLS as `localhost`.
    pub(crate) async fn start_tls(
        tls: TlsAcceptor,
        script: impl Fn(&Seen, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::listen(Arc::new(script), Some(tls)).await
    }

    /// Requests so far.
    pub(crate) fn log(&self) -> Log {
        self.log.borrow().clone()
    }

    /// Waits until the log fulfils a condition.
    pub(crate) async fn until(&self, enough: impl FnMut(&Log) -> bool) -> Log {
        soon(self.log.subscribe().wait_for(enough)).await.unwrap().clone()
    }

    async fn listen(script: Arc<Script>, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = if tls.is_some() {
            format!("https://localhost:{port}")
        } else {
            format!("http://127.0.0.1:{port}")
        };
        let log = watch::Sender::new(Log::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, tls, script, log.clone()));
        Self { url, port, log, _tasks: tasks }
    }
}

async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    script: Arc<Script>,
    log: watch::Sender<Log>,
) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (script, log, tls) = (script.clone(), log.clone(), tls.clone());
        connections.spawn(async move {
            match tls {
                // A client that does not trust the certificate ends the handshake; its test expects that.
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream, script, log).await;
                    }
                }
                None => serve(stream, script, log).await,
            }
        });
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, script: Arc<Script>, log: watch::Sender<Log>) {
    let service = service_fn(|request| answer(request, script.clone(), log.clone()));
    // An error is a cut by the script, or a client that hung up.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// Why a connection is cut.
type Cut = Box<dyn std::error::Error + Send + Sync>;

async fn answer(
    request: Request<Incoming>,
    script: Arc<Script>,
    log: watch::Sender<Log>,
) -> Result<Response<BoxBody<Bytes, Cut>>, Cut> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let path = head.uri.path_and_query().unwrap().to_string();
    let seen = Seen { method: head.method.to_string(), path, headers: head.headers, body };
    let number = log.borrow().seen.len();
    let reply = script(&seen, number);
    log.send_modify(|log| log.seen.push(seen));
    match reply {
        Reply::Answer(response) => {
            Ok(response.map(|body| Full::new(body).map_err(|never: Infallible| match never {}).boxed()))
        }
        Reply::Cut => Err("cut".into()),
        Reply::Half(response) => {
            let (mut head, body) = response.into_parts();
            head.headers.insert(http::header::CONTENT_LENGTH, body.len().into());
            let half = body.slice(..body.len() / 2);
            let frames = stream::iter([Ok(Frame::data(half)), Err(Cut::from("cut"))]);
            Ok(Response::from_parts(head, BodyExt::boxed(StreamBody::new(frames))))
        }
        Reply::Hang => {
            let _hung = HungUp(log);
            std::future::pending().await
        }
    }
}

/// Counts its drop: hyper drops the answer of a request whose client hung up.
struct HungUp(watch::Sender<Log>);

impl Drop for HungUp {
    fn drop(&mut self) {
        self.0.send_modify(|log| log.hung_up += 1);
    }
}
