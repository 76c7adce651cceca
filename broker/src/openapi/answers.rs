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

/// An operation of this id.
pub(super) fn operation(id: &str, tag: &str, summary: &str, description: &str) -> OperationBuilder {
    OperationBuilder::new()
        .operation_id(Some(id))
        .tag(tag)
        .summary(Some(summary))
        .description(Some(description))
}

/// The operation with these parameters.
pub(super) fn with_parameters(
    operation: OperationBuilder,
    parameters: impl IntoIterator<Item = Parameter>,
) -> OperationBuilder {
    parameters.into_iter().fold(operation, OperationBuilder::parameter)
}

/// A header that the answer always has.
pub(super) fn required(description: &str, schema: Object) -> Header {
    let mut header = optional(description, schema);
    // utoipa's headers have no such field.
    header.extensions = Some(Extensions::from_iter([("required", json!(true))]));
    header
}

/// A header that the answer may have.
pub(super) fn optional(description: &str, schema: Object) -> Header {
    HeaderBuilder::new().description(Some(description)).schema(Some(schema)).build()
}

/// A body of `restante_wire`'s.
pub(super) fn json<T: ToSchema>() -> Content {
    ContentBuilder::new().schema(Some(Ref::from_schema_name(T::name()))).build()
}

/// A body of any media type: what is said of it is the sender's, and nothing else can be (OpenAPI 3.1 leaves out the
/// schema of what is no JSON).
pub(super) fn anything() -> Content {
    ContentBuilder::new().build()
}

/// A body of bytes.
pub(super) fn bytes() -> Content {
    ContentBuilder::new().schema(Some(schemas::bytes())).build()
}

/// An answer that no cache keeps, and says so.
pub(super) fn not_stored(description: &str) -> ResponseBuilder {
    ResponseBuilder::new()
        .description(description)
        .header("Cache-Control", required("Never stored.", schemas::one_of(&["no-store"])))
}

/// What every answer to a pull says.
pub(super) fn of_a_pull(description: &str) -> ResponseBuilder {
    not_stored(description)
        .header("Vary", required("Prefer changes the answer.", schemas::text()))
        .header("Preference-Applied", optional("wait=N, when Prefer was used (RFC 7240).", schemas::text()))
        .header(
            "Acknowledge-Failed",
            optional(
                "Each lease of Acknowledge that was not settled: `<lease>;reason=<problem type>`.",
                schemas::text(),
            ),
        )
}

/// What an answer with a stranger's content says besides.
pub(super) fn of_a_stranger(response: ResponseBuilder) -> ResponseBuilder {
    response
        .header("X-Content-Type-Options", required("No browser guesses.", schemas::one_of(&["nosniff"])))
        .header("Content-Security-Policy", required("No browser runs it.", schemas::one_of(&["sandbox"])))
}

/// How many messages are ready.
pub(super) fn of_a_count() -> ResponseBuilder {
    not_stored("Nothing was taken.")
        .header("Message-Ready", required("Messages that are ready.", schemas::count()))
}
