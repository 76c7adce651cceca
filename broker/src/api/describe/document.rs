//! The document as a whole.

use restante_wire::{
    ChannelStats, Problem, ProblemType as P,
    batch::{PeekedBatch, PulledBatch, PushBatch, PushResults, SettlementResults, Settlements},
};
use utoipa::{
    ToSchema,
    openapi::{
        ComponentsBuilder, ContentBuilder, InfoBuilder, LicenseBuilder, ObjectBuilder, OpenApi,
        OpenApiBuilder, OpenApiVersion, RefOr, Schema,
        path::{Operation, Paths},
        tag::TagBuilder,
    },
};

use super::{
    answers,
    problems::{NO_BODY, with_problems},
    schemas,
};
/// The document that describes these paths.
pub fn describe(paths: Paths) -> OpenApi {
    let info = InfoBuilder::new()
        .title("Restante")
        .description(Some(DESCRIPTION))
        .version(env!("CARGO_PKG_VERSION"))
        .license(Some(LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build()));
    let tags =
        TAGS.map(|(name, description)| TagBuilder::new().name(name).description(Some(description)).build());
    OpenApiBuilder::new()
        .openapi(OpenApiVersion::Version31)
        .info(info.build())
        .tags(Some(tags))
        .components(Some(ComponentsBuilder::new().schemas_from_iter(bodies()).build()))
        .paths(paths)
        .build()
}

/// `GET /openapi.json`.
pub fn document() -> Operation {
    let operation =
        answers::operation("document", "document", "This document", "OpenAPI 3.1, generated from the code.");
    let any = ContentBuilder::new().schema(Some(ObjectBuilder::new().build())).build();
    let itself = utoipa::openapi::ResponseBuilder::new()
        .description("This document.")
        .header(
            "Cache-Control",
            answers::required("Caches must revalidate the document.", schemas::one_of(&["no-cache"])),
        )
        .content("application/json", any);
    let operation = operation.response("200", itself.build());
    with_problems(operation, &[&NO_BODY, &[P::ParameterUnknown]]).build()
}

/// `HEAD /openapi.json`.
pub fn document_head() -> Operation {
    let mut operation = document();
    operation.operation_id = Some("documentHead".into());
    operation
}

/// The schemas of all bodies, and the schemas to which these refer.
fn bodies() -> Vec<(String, RefOr<Schema>)> {
    fn add<T: ToSchema>(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(schemas);
    }
    let mut schemas = Vec::new();
    add::<Problem>(&mut schemas);
    add::<PushBatch>(&mut schemas);
    add::<PushResults>(&mut schemas);
    add::<PulledBatch>(&mut schemas);
    add::<PeekedBatch>(&mut schemas);
    add::<Settlements>(&mut schemas);
    add::<SettlementResults>(&mut schemas);
    add::<ChannelStats>(&mut schemas);
    schemas
}

const DESCRIPTION: &str = "\
A message broker over HTTP: a POST to an address sends a message to its destination side; a GET receives a message \
from its source side.

Errors are application/problem+json (RFC 9457). The type names the problem for programs, the header Link leads to a \
page that says what to do, and x-problem-types lists the types that an answer can have. Within /v1, headers, fields \
and problem types are only added: clients ignore unknown ones. A path or method that is not described \
here is answered 404 route-unknown or 405 method-not-allowed.";

const TAGS: [(&str, &str); 6] = [
    ("messages", "Send and receive single messages."),
    ("batches", "Send and receive many messages in one request."),
    ("leases", "Settle, renew, release and reject received messages."),
    ("peek", "Peek at messages and read the statistics of channels, without leasing."),
    ("service", "Health checks, and the pages of problem types."),
    ("document", "This OpenAPI document."),
];
