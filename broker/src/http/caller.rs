//! Who sends a request, and what it has of what all callers share: requests that are answered, and memory.

use std::{net::IpAddr, sync::Arc};

use axum::extract::Request;
use http::{Extensions, HeaderMap};
use prometheus::IntCounter;
use restante_wire::ProblemType;

use super::{HttpError, holder::Holder, proxies::TrustedProxies};
use crate::{
    shared::{Budget, Share, Shared},
    weak_cache::WeakCache,
};

/// What all callers share.
#[derive(Clone)]
pub struct Callers {
    requests: Shared<Holder>,
    bodies: Shared<Holder>,
    answers: Shared<Holder>,
    proxies: TrustedProxies,
    known: Arc<WeakCache<Holder, Shares>>,
}

/// How much there is of it.
#[derive(Debug, Clone, Copy)]
pub struct CallerLimits {
    /// Requests that are answered at a time.
    pub requests: u64,
    /// Bytes of request bodies.
    pub body_bytes: u64,
    /// Bytes of answers.
    pub answer_bytes: u64,
}

/// Refusals, by what was refused.
#[derive(Debug, Clone)]
pub struct CallerCounts {
    /// Requests beyond what their caller may have open.
    pub requests_refused: IntCounter,
    /// Bodies.
    pub bodies_refused: IntCounter,
    /// Answers.
    pub answers_refused: IntCounter,
}

/// Who sends a request: for now, an address.
#[derive(Debug, Clone)]
pub struct Caller(Arc<Shares>);

/// A request of a caller, for as long as it is answered. Small, because each that waits has one.
#[derive(Debug)]
pub struct OpenRequest(Caller);

#[derive(Debug)]
struct Shares {
    holder: Holder,
    requests: Share,
    bodies: Share,
    answers: Share,
}

impl CallerCounts {
    /// Counts that nobody reads.
    pub fn unread() -> Self {
        let counter = || IntCounter::new("unread", "unread").expect("the name is one");
        Self { requests_refused: counter(), bodies_refused: counter(), answers_refused: counter() }
    }
}

impl Callers {
    /// So much for all callers.
    pub fn new(limits: CallerLimits, counts: &CallerCounts, proxies: TrustedProxies) -> Self {
        Self {
            requests: Shared::new(limits.requests, counts.requests_refused.clone()),
            bodies: Shared::new(limits.body_bytes, counts.bodies_refused.clone()),
            answers: Shared::new(limits.answer_bytes, counts.answers_refused.clone()),
            proxies,
            known: Arc::default(),
        }
    }

    /// The caller at an address.
    pub fn at(&self, address: IpAddr) -> Caller {
        let holder = Holder::of(address);
        let shares = || Shares {
            holder,
            requests: self.requests.share(holder),
            bodies: self.bodies.share(holder),
            answers: self.answers.share(holder),
        };
        Caller(self.known.get(holder, shares))
    }

    /// Who asks over a connection, which is known already if it is the peer itself: for whom a trusted proxy asks, each request says.
    pub fn asking(&self, known: &Caller, peer: IpAddr, headers: &HeaderMap) -> Caller {
        if self.proxies.is_empty() {
            return known.clone();
        }
        let address = self.proxies.client_address(peer, headers);
        if Holder::of(address) == known.0.holder { known.clone() } else { self.at(address) }
    }

    /// The memory of request bodies.
    pub fn bodies(&self) -> &Arc<Budget> {
        self.bodies.budget()
    }

    /// The memory of answers.
    pub fn answers(&self) -> &Arc<Budget> {
        self.answers.budget()
    }

    /// Requests that are answered.
    pub fn requests(&self) -> &Arc<Budget> {
        self.requests.budget()
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.0.requests.give_back(1);
    }
}

impl Caller {
    /// Who sent a request.
    pub fn of(request: &Request) -> Self {
        Self::in_extensions(request.extensions())
    }

    /// The same, of a request's parts.
    pub fn in_extensions(extensions: &Extensions) -> Self {
        extensions.get().cloned().expect("every request of the data port has its caller")
    }

    /// One more request, for as long as it is answered.
    pub fn request(&self) -> Result<OpenRequest, HttpError> {
        if self.0.requests.may_take(1) {
            self.0.requests.add(1);
            return Ok(OpenRequest(self.clone()));
        }
        self.0.requests.budget().count_refusal();
        let detail = format!(
            "the limit of open requests is reached: {} of {} are open, {} of them from this client (--requests-max); try again",
            self.0.requests.budget().used(),
            self.0.requests.budget().max(),
            self.0.requests.used(),
        );
        Err(HttpError::new(ProblemType::Busy, detail))
    }

    /// What it has of the memory of request bodies.
    pub fn bodies(&self) -> &Share {
        &self.0.bodies
    }

    /// What it has of the memory of answers.
    pub fn answers(&self) -> &Share {
        &self.0.answers
    }
}
