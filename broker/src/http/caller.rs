//! Who sends a request, and what it has of what all callers share: requests that are answered, and memory.

use std::{net::IpAddr, sync::Arc};

use axum::extract::Request;
use http::{Extensions, HeaderMap};
use prometheus::IntCounter;
use restante_wire::ProblemType;

use super::{HttpError, holder::Holder, proxies::TrustedProxies};
use crate::shared::{Purse, Share, Shared, Taken};

/// What all callers share.
#[derive(Clone)]
pub struct Callers {
    requests: Shared<Holder>,
    bodies: Shared<Holder>,
    answers: Shared<Holder>,
    proxies: TrustedProxies,
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

#[derive(Debug)]
struct Shares {
    address: IpAddr,
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
        }
    }

    /// The caller at an address.
    pub fn at(&self, address: IpAddr) -> Caller {
        let holder = Holder::of(address);
        Caller(Arc::new(Shares {
            address,
            requests: self.requests.share(holder),
            bodies: self.bodies.share(holder),
            answers: self.answers.share(holder),
        }))
    }

    /// Who asks over a connection, which is known already if it is the peer itself: for whom a trusted proxy asks, each request says.
    pub fn asking(&self, known: &Caller, peer: IpAddr, headers: &HeaderMap) -> Caller {
        match self.proxies.is_empty() {
            true => known.clone(),
            false => match self.proxies.client_address(peer, headers) {
                address if address == known.address() => known.clone(),
                address => self.at(address),
            },
        }
    }

    /// The memory of request bodies.
    pub fn bodies(&self) -> &Arc<Purse> {
        self.bodies.purse()
    }

    /// The memory of answers.
    pub fn answers(&self) -> &Arc<Purse> {
        self.answers.purse()
    }

    /// Requests that are answered.
    pub fn requests(&self) -> &Arc<Purse> {
        self.requests.purse()
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

    /// Its address.
    pub fn address(&self) -> IpAddr {
        self.0.address
    }

    /// One more request, for as long as it is answered.
    pub fn request(&self) -> Result<Taken, HttpError> {
        self.0.requests.take(1).ok_or_else(|| {
            let detail = format!(
                "the limit of open requests is reached: {} of {} are open, {} of them from this client (--requests-max); try \
                 again",
                self.0.requests.purse().used(),
                self.0.requests.purse().max(),
                self.0.requests.used(),
            );
            HttpError::new(ProblemType::Busy, detail)
        })
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
