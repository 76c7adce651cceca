//! Addresses in OpenAPI's path templates, whose parameters cannot hold a slash: the forms that are described.
//!
//! Two segments are what every channel has by default, three what the end of a link is usually called. Addresses of more
//! segments are served all the same; `x-address` says so at each of them.

use serde_json::json;
use utoipa::openapi::{
    Object,
    extensions::Extensions,
    path::{Operation, Parameter, ParameterIn},
};

use super::{parameters, schemas};

/// The addresses of a number of segments.
#[derive(Debug)]
pub struct AddressForm {
    segments: &'static [(&'static str, &'static str)],
    /// What the operations are called besides: each has an id of its own.
    suffix: &'static str,
}

/// The parameters of paths without an address: a name and what it is.
pub type Fixed = &'static [(&'static str, &'static str)];

/// What the parameters of a path are.
#[derive(Debug)]
pub enum PathParameters {
    /// An address.
    Address(&'static AddressForm),
    /// Others.
    Fixed(Fixed),
}

const NAMESPACE: (&str, &str) =
    ("namespace", "The address's first segment: the Kubernetes namespace of its channel.");

/// Every form that is described.
pub const ADDRESS_FORMS: [AddressForm; 2] = [
    AddressForm {
        segments: &[NAMESPACE, ("name", "The address's second segment: by default the channel's name.")],
        suffix: "",
    },
    AddressForm {
        segments: &[
            NAMESPACE,
            ("link", "The address's second segment: for example a bi-directional link."),
            ("end", "The address's third segment: for example an end of that link."),
        ],
        suffix: "AtLinkEnd",
    },
];

impl AddressForm {
    /// The address in a path template.
    pub fn template(&self) -> String {
        let names: Vec<_> = self.segments.iter().map(|(name, _)| format!("{{{name}}}")).collect();
        names.join("/")
    }
}

impl PathParameters {
    /// The operation with these parameters, first of all.
    pub fn added_to(&self, mut operation: Operation) -> Operation {
        let (named, schema): (_, fn() -> Object) = match self {
            Self::Address(form) => {
                operation.operation_id = operation.operation_id.map(|id| id + form.suffix);
                operation.extensions = Some(Extensions::from_iter([("x-address", json!(MORE_SEGMENTS))]));
                (form.segments, schemas::address_segment)
            }
            Self::Fixed(named) => (*named, schemas::path_segment),
        };
        let path: Vec<Parameter> = named
            .iter()
            .map(|(name, description)| parameters::required(name, ParameterIn::Path, description, schema()))
            .collect();
        let said = operation.parameters.take().unwrap_or_default();
        operation.parameters = Some(path.into_iter().map(Into::into).chain(said).collect());
        operation
    }
}

const MORE_SEGMENTS: &str = "An address has 2 to 8 segments and at most 253 bytes; the path takes any of them, each \
                             segment as it is, with nothing encoded.";
