//! Runs brokers and programs their address stores, as described by MessageBrokers and MessageChannels.
//!
//! [`runtime`] watches the resources and runs their reconciles. [`kinds`] has a folder for each kind, and [`reconcile`]
//! the code for every kind. Reconciles of MessageBrokers create Kubernetes objects. Reconciles of MessageChannels create
//! none: the [`fleet`] programs the broker pods, and triggers a reconcile when the status of a channel must change.
//!
//! Architecture Invariant: the operator never touches a message, and nothing is deleted because it is absent. Only a
//! finalizer that saw the deletion of a MessageChannel deletes the channel at its broker.

pub mod admin;
pub mod config;
pub mod context;
pub mod fleet;
pub mod kinds;
pub mod logging;
pub mod metrics;
pub mod names;
pub mod ownership;
pub mod reconcile;
pub mod release_finalizers;
pub mod runtime;
pub mod shared;
pub mod signals;
pub mod watchdog;
