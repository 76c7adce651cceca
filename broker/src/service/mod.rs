//! What a broker does for its clients, in terms of no protocol: it stores messages, hands them out, settles their
//! leases, and shows messages. What it refuses is a value; `api/` makes an answer of it.

mod destination;
mod draft;
mod handouts;
mod leases;
pub mod peek;
mod source;

use std::sync::Arc;

pub use destination::{Destination, Stored};
pub use draft::{Draft, DraftRefusal, Property};
pub use handouts::{Handouts, Sending};
pub use leases::{Lease, Settled, Verdict};
use restante_wire::Address;
pub use source::{ReceiveRefusal, Settles, Source};

use crate::{
    address_store::AddressStore, channel::LeaseSealer, clock::Clock, drain::Drain, metrics::Metrics,
    shard::CounterRegistry, worker::Router,
};

/// The state that all requests share.
pub struct Service {
    /// Finds the channels of an address.
    pub store: AddressStore,
    /// Access to the channels, each of which a worker owns.
    pub router: Router,
    /// The broker's own clock.
    pub clock: Clock,
    /// Seals and opens lease tokens.
    pub sealer: LeaseSealer,
    /// The counters of the channels.
    pub counters: Arc<CounterRegistry>,
    /// Whether the broker is shutting down: then pushes and pulls are refused, and settles continue.
    pub drain: Drain,
    pub metrics: Arc<Metrics>,
}

impl Service {
    /// The two sides of an address: its channels as a destination, and its channel as a source.
    pub fn at(self: &Arc<Self>, address: &Address) -> (Option<Destination>, Option<Source>) {
        let channels = self.store.destination(address.as_str());
        // Most channels have one address on both sides. With very many channels a second lookup takes a twentieth of a
        // push's time.
        let both = channels.iter().find(|channel| channel.config.source == *address).cloned();
        let source = both.or_else(|| self.store.source(address.as_str()));
        (Destination::new(self, channels), source.map(|channel| Source::new(self, channel)))
    }
}
