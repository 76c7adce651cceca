//! The custom resources of the operator, one folder for each kind.
//!
//! Every reconcile is `dereference → validate → build → apply → status`, one file per step; `validate` and `build` use
//! no client. What is the same for every kind is in [`crate::shared`], so a new kind is a folder here and a line in
//! [`crate::runtime`].

pub mod broker;
pub mod channel;
