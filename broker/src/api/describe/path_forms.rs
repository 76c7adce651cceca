//! Path parameters. A path parameter of OpenAPI cannot contain a slash, but addresses do: so an address is described
//! for two and for three segments.
//!
//! Every channel has an address of two segments by default; the end of a link usually has three. Addresses with more
//! segments are served as well, and `x-address` says so at each operation.

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
    /// Appended to the operations' ids, which must be unique.
    suffix: &'static str,
    /// Whether the path takes addresses with more segments than the template has.
    takes_more_segments: bool,
}

#[derive(Debug)]
struct PathParameter {
    name: &'static str,
    description: &'static str,
    schema: fn() -> Object,
}

/// The forms in which an address is described.
pub const ADDRESS_FORMS: [PathForm; 2] = [
    PathForm {
        parameters: &[
            NAMESPACE,
            PathParameter {
                name: "name",
                description: "The second segment of the address: by default the channel's name.",
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
                description: "The second segment of the address: for example the name of a bi-directional link.",
                schema: || schemas::address_segment(LINK_BYTES_MAX),
            },
            PathParameter {
                name: "end",
                description: "The third segment of the address: for example one end of that link.",
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
    description: "The lease's token: the last segment of the path in Location, or the field lease of an item.",
    schema: schemas::token,
}]);
/// The path of a problem type's page.
pub const PROBLEM: PathForm = fixed(&[PathParameter {
    name: "name",
    description: "The name of the problem type: the last segment of the problem's type.",
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
    description: "The Kubernetes namespace of the channel: the first segment of the address.",
    schema: || schemas::address_segment(NAME_BYTES_MAX),
};
/// Two such segments and a slash have the length of the longest relative address.
const LINK_BYTES_MAX: usize = (RELATIVE_ADDRESS_BYTES_MAX - 1) / 2;
const MORE_SEGMENTS: &str = "An address has 2 to 8 segments and at most 253 bytes; the path takes all of them, without \
                             percent-encoding.";

const fn fixed(parameters: &'static [PathParameter]) -> PathForm {
    PathForm { parameters, suffix: "", takes_more_segments: false }
}

impl PathForm {
    /// The part of the path template with the parameters, such as `{namespace}/{name}`.
    pub fn template(&self) -> String {
        let names: Vec<_> =
            self.parameters.iter().map(|parameter| format!("{{{}}}", parameter.name)).collect();
        names.join("/")
    }

    /// The number of parameters; each is one segment.
    pub fn segments(&self) -> usize {
        self.parameters.len()
    }

    /// The operation with these parameters before its own.
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
