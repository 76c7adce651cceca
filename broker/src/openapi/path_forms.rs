//! Parameters of paths. OpenAPI's cannot hold a slash and addresses do, so an address is described once for each of some
//! numbers of segments.
//!
//! Two segments are what every channel has by default, three what the end of a link is usually called. Addresses of more
//! segments are served all the same; `x-address` says so at each operation.

use restante_wire::{address::RELATIVE_ADDRESS_BYTES_MAX, channel::NAME_BYTES_MAX};
use serde_json::json;
use utoipa::openapi::{
    Object,
    extensions::Extensions,
    path::{Operation, Parameter, ParameterIn},
};

use super::{parameters, schemas};

/// The parameters of a path.
#[derive(Debug)]
pub struct PathForm {
    parameters: &'static [PathParameter],
    /// What the operations are called besides: each has an id of its own.
    suffix: &'static str,
    /// Whether the path takes more than the template says.
    takes_more_segments: bool,
}

/// One segment of a path.
#[derive(Debug)]
struct PathParameter {
    name: &'static str,
    description: &'static str,
    schema: fn() -> Object,
}

/// Every form of an address that is described.
pub const ADDRESS_FORMS: [PathForm; 2] = [
    PathForm {
        parameters: &[
            NAMESPACE,
            PathParameter {
                name: "name",
                description: "The address's second segment: by default the channel's name.",
                schema: || schemas::address_segment(RELATIVE_ADDRESS_BYTES_MAX),
            },
        ],
        suffix: "",
        takes_more_segments: true,
    },
    PathForm {
        parameters: &[
            NAMESPACE,
            PathParameter {
                name: "link",
                description: "The address's second segment: for example a bi-directional link.",
                schema: || schemas::address_segment(LINK_BYTES_MAX),
            },
            PathParameter {
                name: "end",
                description: "The address's third segment: for example an end of that link.",
                schema: || schemas::address_segment(LINK_BYTES_MAX),
            },
        ],
        suffix: "AtLinkEnd",
        takes_more_segments: true,
    },
];
/// The path of a lease.
pub const LEASE: PathForm = fixed(&[PathParameter {
    name: "lease",
    description: "The lease's token: the end of the path in Location, or the field lease of an item.",
    schema: schemas::token,
}]);
/// The path of a problem type's page.
pub const PROBLEM: PathForm = fixed(&[PathParameter {
    name: "name",
    description: "The problem type's name: the end of its type.",
    schema: schemas::text,
}]);
/// The path of a channel.
pub const CHANNEL: PathForm = fixed(&[
    NAMESPACE,
    PathParameter {
        name: "name",
        description: "The channel's name.",
        schema: || schemas::address_segment(NAME_BYTES_MAX),
    },
]);
/// A path without parameters.
pub const NO_PARAMETERS: PathForm = fixed(&[]);

const NAMESPACE: PathParameter = PathParameter {
    name: "namespace",
    description: "The Kubernetes namespace of the channel: the address's first segment.",
    schema: || schemas::address_segment(NAME_BYTES_MAX),
};
/// Two of these and a slash are a relative address.
const LINK_BYTES_MAX: usize = (RELATIVE_ADDRESS_BYTES_MAX - 1) / 2;
const MORE_SEGMENTS: &str = "An address has 2 to 8 segments and at most 253 bytes; the path takes any of them, each \
                             segment as it is, with nothing encoded.";

const fn fixed(parameters: &'static [PathParameter]) -> PathForm {
    PathForm { parameters, suffix: "", takes_more_segments: false }
}

impl PathForm {
    /// All parameters in a path template.
    pub fn template(&self) -> String {
        let names: Vec<_> =
            self.parameters.iter().map(|parameter| format!("{{{}}}", parameter.name)).collect();
        names.join("/")
    }

    /// How many parameters there are, each one segment.
    pub fn segments(&self) -> usize {
        self.parameters.len()
    }

    /// The operation with these parameters, first of all.
    pub fn added_to(&self, mut operation: Operation) -> Operation {
        operation.operation_id = operation.operation_id.map(|id| id + self.suffix);
        if self.takes_more_segments {
            operation.extensions = Some(Extensions::from_iter([("x-address", json!(MORE_SEGMENTS))]));
        }
        let in_path = |PathParameter { name, description, schema }: &PathParameter| -> Parameter {
            parameters::required(name, ParameterIn::Path, description, schema())
        };
        let others = operation.parameters.take().unwrap_or_default();
        let path = self.parameters.iter().map(in_path).map(Into::into);
        operation.parameters = Some(path.chain(others).collect());
        operation
    }
}
