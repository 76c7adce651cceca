//! The interface of a kind: what `shared` must know about a custom resource to reconcile it.

use std::fmt::Debug;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{
    Resource,
    core::{NamespaceResourceScope, error_boundary::InvalidObject, object::HasStatus},
    runtime::controller::Action,
};
use serde::{Serialize, de::DeserializeOwned};

use crate::context::Context;
use crate::shared::error::Error;

/// A custom resource that the operator reconciles.
pub trait Kind:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + HasStatus<Status: Clone + Default + PartialEq + Serialize + Send + Sync>
    + Clone
    + Debug
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
    /// The kind, in metrics and log lines.
    const KIND: &'static str;
    /// The types of the operator's conditions. Foreign conditions are neither compared nor written.
    const CONDITIONS: &'static [&'static str];

    /// The conditions in a status.
    fn conditions(status: &mut Self::Status) -> &mut Vec<Condition>;

    /// Reconciles an object that is not older than the operator's last write of it.
    fn reconcile(&self, context: &Context) -> impl Future<Output = Result<Action, Error>> + Send;

    /// Handles an object that this version cannot read.
    fn reconcile_unreadable(
        invalid: &InvalidObject,
        context: &Context,
    ) -> impl Future<Output = Result<Action, Error>> + Send;
}
