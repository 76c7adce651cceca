//! The service of the data port: the steps around the router for every request. They are not layers of the router,
//! because each layer costs every request an allocation, and some copies at every poll.

use std::{
    future::{Future, ready},
    net::IpAddr,
    sync::Arc,
};

use axum::{
    Router,
    body::Body,
    response::{IntoResponse, Response},
};
use futures_util::FutureExt as _;
use http::Request;

use super::{
    Context,
    measure::Measures,
    router::{is_for_all, routes},
};
use crate::http::{Caller, Cors, HttpError, OpenRequest, RouteName, Serve, framing, prepend, routed};

/// The service of the data port.
#[derive(Clone)]
pub struct DataPort(Arc<Parts>);

struct Parts {
    context: Arc<Context>,
    measures: Measures,
    routes: Vec<RouteName>,
    router: Router,
}

/// The state of a connection of the data port.
pub struct Client {
    peer: IpAddr,
    /// The caller at the peer's address. Behind a trusted proxy the callers of requests are others.
    caller: Caller,
}

impl DataPort {
    /// The service with all routes.
    pub fn new(context: Arc<Context>) -> Self {
        let all = routes();
        let routes = all.names().to_vec();
        let measures = Measures::new(context.service.metrics.http_seconds.clone(), routes.clone());
        let router = super::router::router(all, context.clone());
        Self(Arc::new(Parts { context, measures, routes, router }))
    }
}

impl Parts {
    /// Checks a request and opens it; or returns its answer if it does not reach the router.
    fn admitted(
        &self,
        caller: &Caller,
        outside: Option<&Outside>,
        request: &Request<Body>,
    ) -> Result<Option<OpenRequest>, Box<Response>> {
        let refused = |error: HttpError| Box::new(error.into_response());
        framing::check(request).map_err(refused)?;
        // Probes are answered for every caller, even if the limits of others are reached.
        if is_for_all(request.uri().path()) {
            return Ok(None);
        }
        self.context.browsers.check(request).map_err(refused)?;
        let cors = outside.and_then(|outside| outside.cors.as_ref());
        match cors.and_then(|cors| cors.preflight(&self.routes, request)) {
            Some(preflight) => Err(Box::new(preflight)),
            None => caller.request().map(Some).map_err(refused),
        }
    }
}

impl Serve for DataPort {
    type Client = Client;
    type Open = Option<OpenRequest>;

    fn connected(&self, peer: IpAddr) -> Client {
        Client { peer, caller: self.0.context.callers.at(peer) }
    }

    fn answer(
        &self,
        client: &Client,
        request: Request<Body>,
    ) -> impl Future<Output = (Response, Option<OpenRequest>)> + Send + use<> {
        let parts = self.0.clone();
        let Context { callers, prefix, browsers, .. } = &*parts.context;
        let caller = callers.asking(&client.caller, client.peer, request.headers());
        let outside = Outside::of(prefix.of(client.peer, request.headers()), Cors::of(browsers, &request));
        let mut request = prefix.removed(request);
        let measure = parts.measures.start(&request);
        let answer = match parts.admitted(&caller, outside.as_deref(), &request) {
            Ok(open) => {
                request.extensions_mut().insert(caller);
                routed(parts.router.clone(), request).map(|answer| (answer, open)).left_future()
            }
            Err(answer) => ready((*answer, None)).right_future(),
        };
        answer.map(move |(mut answer, open)| {
            if let Some(outside) = outside {
                outside.tell(&mut answer);
            }
            parts.measures.end(measure, &answer);
            (answer, open)
        })
    }
}

/// Additions to the answers for clients behind a prefix or of another origin. On the heap, because few requests have
/// them and they would enlarge the future of every waiting request.
struct Outside {
    prefix: Option<Arc<str>>,
    cors: Option<Cors>,
}

impl Outside {
    fn of(prefix: Option<Arc<str>>, cors: Option<Cors>) -> Option<Box<Self>> {
        (prefix.is_some() || cors.is_some()).then(|| Box::new(Self { prefix, cors }))
    }

    fn tell(self, answer: &mut Response) {
        if let Some(prefix) = &self.prefix {
            prepend(prefix, answer);
        }
        if let Some(cors) = self.cors {
            cors.allow(answer);
        }
    }
}
