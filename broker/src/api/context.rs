//! The shared state of all handlers.

use std::{sync::Arc, time::Duration};

use crate::{
    admin::Health,
    http::{BrowserRules, Callers, Prefix},
    service::Service,
};

pub struct Context {
    /// Access to the channels.
    pub service: Arc<Service>,
    /// Which browser requests are allowed.
    pub browsers: BrowserRules,
    /// The path prefix under which clients reach the broker.
    pub prefix: Prefix,
    /// The state for the health checks.
    pub health: Health,
    /// The limits that all callers share.
    pub callers: Callers,
    /// `--body-timeout`: the time for a body, in addition to the time that its size allows.
    pub body_timeout: Duration,
}
