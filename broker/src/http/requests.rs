//! The service of one connection: passes its requests to the handlers, and completes their answers.

use std::{
    convert::Infallible,
    future::{Future, ready},
    net::IpAddr,
    sync::Arc,
};

use axum::{
    body::Body,
    response::{IntoResponse as _, Response as Answer},
};
use futures_util::FutureExt as _;
use http::{
    HeaderValue, Request, Response, Version,
    header::{CONNECTION, DATE, EXPECT},
};
use hyper::{
    body::Incoming,
    service::{Service, service_fn},
};
use restante_wire::ProblemType;

use super::{
    HttpError, answer_body::AnswerBody, date::date, line::Line, progress::Progress, request_body::RequestBody,
};
tokio::task_local! {
    /// The progress of the HTTP/2 stream that this task serves.
    pub(super) static PROGRESS: Arc<Progress>;
}

/// A service that answers requests.
pub trait Serve: Clone + Send + Sync + 'static {
    /// The service's state for a connection.
    type Client: Send + Sync + 'static;
    /// A guard that the service holds until an answer is sent.
    type Open: Send + Unpin + 'static;

    /// Called at the start of a connection.
    fn connected(&self, peer: IpAddr) -> Self::Client;

    /// Answers a request of a connection.
    fn answer(
        &self,
        client: &Self::Client,
        request: Request<Body>,
    ) -> impl Future<Output = (Answer, Self::Open)> + Send + use<Self>;
}

/// The hyper service for one connection.
pub(super) fn requests<S: Serve>(
    service: &S,
    line: &Arc<Line>,
) -> impl Service<
    Request<Incoming>,
    Response = Response<AnswerBody<Option<S::Open>>>,
    Error = Infallible,
    Future: Send,
> + use<S> {
    let client = service.connected(line.peer);
    let (service, line) = (service.clone(), line.clone());
    service_fn(move |request: Request<Incoming>| {
        let answering = line.answering();
        let version = request.version();
        let asks_first = request.headers().contains_key(EXPECT);
        let request = request.map(|body| match version {
            // Streams end independently; h2 tells the peer that the rest of a body will not be read.
            Version::HTTP_2 => Body::new(body),
            _ => Body::new(RequestBody::new(body, &line, asks_first)),
        });
        // A line that was asked to close has lost its place: the client must send the request on another connection.
        let answer = match answering.line().is_asked_to_close() {
            true => ready((closed_while_idle().into_response(), None)).left_future(),
            false => {
                service.answer(&client, request).map(|(answer, open)| (answer, Some(open))).right_future()
            }
        };
        answer.map(move |(mut answer, open)| {
            if answering.line().closes() && version <= Version::HTTP_11 {
                // RFC 9110 section 7.6.1. For HTTP/2 the server sends GOAWAY instead.
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            answer.headers_mut().insert(DATE, date(&answering.line().clock));
            let progress = PROGRESS.try_with(Arc::clone).ok();
            Ok(answer.map(|body| AnswerBody::new(body, progress, (answering, open))))
        })
    })
}

fn closed_while_idle() -> HttpError {
    let detail = "the limit of connections is reached, by this address or by all (--connections-max), so this idle one \
                  is closed; connect again";
    HttpError::new(ProblemType::Busy, detail)
}
