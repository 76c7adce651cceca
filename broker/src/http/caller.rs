//! The caller of a request, and its shares of the resources that all callers share: open requests and memory.

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

/// The resources that all callers share.
#[derive(Clone)]
pub struct Callers {
    requests: Shared<Holder>,
    bodies: Shared<Holder>,
    answers: Shared<Holder>,
    proxies: TrustedProxies,
    known: Arc<WeakCache<Holder, Shares>>,
}

/// The sizes of the shared resources.
#[derive(Debug, Clone, Copy)]
pub struct CallerLimits {
    /// The maximum number of open requests.
    pub requests: u64,
    /// The memory for request bodies, in bytes.
    pub body_bytes: u64,
    /// The memory for answers, in bytes.
    pub answer_bytes: u64,
}

/// Counters of refusals, by resource.
#[derive(Debug, Clone)]
pub struct CallerCounts {
    /// Requests refused because the limit of open requests was reached.
    pub requests_refused: IntCounter,
    /// Requests refused because the memory limit of bodies was reached.
    pub bodies_refused: IntCounter,
    /// Requests refused because the memory limit of answers was reached.
    pub answers_refused: IntCounter,
}

/// The sender of a request. In this version it is identified by its address.
#[derive(Debug, Clone)]
pub struct Caller(Arc<Shares>);

/// An open request of a caller; dropping it closes the request. Small, because each waiting request has one.
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
    /// Counters that are not exported.
    pub fn unread() -> Self {
        let counter = || IntCounter::new("unread", "unread").expect("the name is valid");
        Self { requests_refused: counter(), bodies_refused: counter(), answers_refused: counter() }
    }
}

impl Callers {
    /// Shared resources of these sizes.
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

    /// The caller of a request. Without a trusted proxy it is the peer, whose caller is `known`; a trusted proxy names
    /// the caller in each request.
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

    /// The limit of open requests.
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
    /// The caller of a request.
    pub fn of(request: &Request) -> Self {
        Self::in_extensions(request.extensions())
    }

    /// The caller in a request's extensions.
    pub fn in_extensions(extensions: &Extensions) -> Self {
        extensions.get().cloned().expect("every request of the data port has its caller")
    }

    /// Opens a request, or refuses it if the limit is reached.
    pub fn request(&self) -> Result<OpenRequest, HttpError> {
        if self.0.requests.may_take(1) {
            self.0.requests.add(1);
            return Ok(OpenRequest(self.clone()));
        }
        self.0.requests.budget().count_refusal();
        let detail = format!(
            "the limit of open requests is reached: {} of {} are open, {} of them from this client (--requests-max); \
             try again",
            self.0.requests.budget().used(),
            self.0.requests.budget().max(),
            self.0.requests.used(),
        );
        Err(HttpError::new(ProblemType::Busy, detail))
    }

    /// The caller's share of the memory of request bodies.
    pub fn bodies(&self) -> &Share {
        &self.0.bodies
    }

    /// The caller's share of the memory of answers.
    pub fn answers(&self) -> &Share {
        &self.0.answers
    }
}
