//! Operations on leases.

mod many;
mod one;

pub(super) use many::settle_many;
pub(super) use one::{reject, release, renew, settle};
