//! The custom resources of the operator, one folder for each kind.
//!
//! Every reconcile is `dereference → validate → build → apply → status`, one file per step; `validate` and `build` use
//! no client. Code for every kind is in [`crate::shared`]. So a new kind is a folder here, with its
//! [`Kind`](crate::reconcile::kind::Kind), and a watch and a controller in [`crate::runtime`].

pub mod broker;
pub mod channel;
