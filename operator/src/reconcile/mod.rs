//! The reconcile of any kind of custom resource, written once.

pub mod controller;

pub mod kind;
pub mod status;
pub mod unreadable;
