//! Answers and their headers.

use serde_json::json;
use utoipa::{
    ToSchema,
    openapi::{
        Content, ContentBuilder, Header, HeaderBuilder, Object, Ref, ResponseBuilder,
        extensions::Extensions,
        path::{OperationBuilder, Parameter},
    },
};

use super::schemas;

/// Starts an operation.
pub(super) fn operation(id: &str, tag: &str, summary: &str, description: &str) -> OperationBuilder {
    OperationBuilder::new()
        .operation_id(Some(id))
        .tag(tag)
        .summary(Some(summary))
        .description(Some(description))
}

pub(super) fn with_parameters(
    operation: OperationBuilder,
    parameters: impl IntoIterator<Item = Parameter>,
) -> OperationBuilder {
    parameters.into_iter().fold(operation, OperationBuilder::parameter)
}

/// A header that the answer always has.
pub(super) fn required(description: &str, schema: Object) -> Header {
    let mut header = optional(description, schema);
    // utoipa's Header has no field `required`.
    header.extensions = Some(Extensions::from_iter([("required", json!(true))]));
    header
}

/// A header that the answer may have.
pub(super) fn optional(description: &str, schema: Object) -> Header {
    HeaderBuilder::new().description(Some(description)).schema(Some(schema)).build()
}

/// A body of a type of `restante_wire`.
pub(super) fn json<T: ToSchema>() -> Content {
    ContentBuilder::new().schema(Some(Ref::from_schema_name(T::name()))).build()
}

/// A body of any media type, which the sender chose. It has no schema: OpenAPI 3.1 leaves it out for content that is
/// not JSON.
pub(super) fn anything() -> Content {
    ContentBuilder::new().build()
}

pub(super) fn bytes() -> Content {
    ContentBuilder::new().schema(Some(schemas::bytes())).build()
}

/// An answer that caches must not store.
pub(super) fn not_stored(description: &str) -> ResponseBuilder {
    ResponseBuilder::new()
        .description(description)
        .header("Cache-Control", required("The answer must not be cached.", schemas::one_of(&["no-store"])))
}

/// The headers of every answer to a pull.
pub(super) fn of_a_pull(description: &str) -> ResponseBuilder {
    not_stored(description)
        .header("Vary", required("Names Prefer, which changes the answer.", schemas::text()))
        .header(
            "Preference-Applied",
            optional("wait=N, if the wait of Prefer was applied (RFC 7240).", schemas::text()),
        )
        .header(
            "Acknowledge-Failed",
            optional(
                "Each lease of Acknowledge that was not settled: `<lease>;reason=<problem type>`.",
                schemas::text(),
            ),
        )
}

/// The headers that keep a browser from interpreting a sender's content.
pub(super) fn of_a_stranger(response: ResponseBuilder) -> ResponseBuilder {
    response
        .header(
            "X-Content-Type-Options",
            required("Browsers must not guess the media type.", schemas::one_of(&["nosniff"])),
        )
        .header(
            "Content-Security-Policy",
            required("Browsers must not run the body.", schemas::one_of(&["sandbox"])),
        )
}

/// The answer to a HEAD.
pub(super) fn of_a_count() -> ResponseBuilder {
    not_stored("The number of ready messages. Nothing is leased.")
        .header("Message-Ready", required("The number of ready messages.", schemas::count()))
}
