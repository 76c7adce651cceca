//! Problem answers: the problem types of an operation, by status code.

use std::collections::BTreeMap;

use restante_wire::{Problem, ProblemType, problem};
use serde_json::json;
use utoipa::{
    ToSchema as _,
    openapi::{
        ContentBuilder, Ref, Response, ResponseBuilder, extensions::Extensions, path::OperationBuilder,
    },
};

use super::{answers, schemas};
use crate::http::error::{retry_after_seconds, status};

/// The problems of every operation: framing and browser headers are checked before the request is routed.
const EVERYWHERE: [ProblemType; 6] = [
    ProblemType::TransferCodingUnsupported,
    ProblemType::HeaderMalformed,
    ProblemType::OriginForbidden,
    ProblemType::BrowserForbidden,
    ProblemType::HostForbidden,
    ProblemType::Internal,
];

/// The problems of every operation whose path has an address.
pub(super) const ADDRESS: [ProblemType; 4] = [
    ProblemType::AddressMalformed,
    ProblemType::AddressUnknown,
    ProblemType::NotProgrammed,
    ProblemType::Draining,
];

/// The problems of every operation that reads a body.
pub(super) const BODY: [ProblemType; 4] =
    [ProblemType::BodyIncomplete, ProblemType::BodyMalformed, ProblemType::BodyTimeout, ProblemType::Busy];

/// The problems of every operation that takes no body. With chunked encoding, only the end of the body shows that it is
/// empty.
pub(super) const NO_BODY: [ProblemType; 3] =
    [ProblemType::BodyUnexpected, ProblemType::BodyIncomplete, ProblemType::BodyTimeout];

/// The operation with an answer for each status code of these problems and of [`EVERYWHERE`].
pub(super) fn with_problems(operation: OperationBuilder, lists: &[&[ProblemType]]) -> OperationBuilder {
    with_these_problems(operation, EVERYWHERE.iter().chain(lists.iter().copied().flatten()).copied())
}

/// The operation with an answer for each status code of these problems, without [`EVERYWHERE`].
pub(super) fn with_these_problems(
    operation: OperationBuilder,
    kinds: impl IntoIterator<Item = ProblemType>,
) -> OperationBuilder {
    let mut by_status: BTreeMap<u16, Vec<ProblemType>> = BTreeMap::new();
    for kind in kinds {
        by_status.entry(status(kind).as_u16()).or_default().push(kind);
    }
    by_status
        .into_iter()
        .fold(operation, |operation, (status, kinds)| operation.response(status.to_string(), answer(&kinds)))
}

/// The answer of one status code.
fn answer(kinds: &[ProblemType]) -> Response {
    let lines: Vec<_> = kinds
        .iter()
        .map(|kind| format!("* [`{}`]({}): {}", kind.name(), kind.page(), kind.title()))
        .collect();
    let body = ContentBuilder::new().schema(Some(Ref::from_schema_name(Problem::name()))).build();
    let names: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
    let mut response = ResponseBuilder::new()
        .description(lines.join("\n"))
        .content(problem::CONTENT_TYPE, body)
        .header(
            "Cache-Control",
            answers::required("The answer must not be cached.", schemas::one_of(&["no-store"])),
        )
        .header("Link", answers::required("The page of the problem type, with rel=help.", schemas::text()))
        // For programs, and for the fuzzer. An enum of types would break generated clients when a type is added.
        .extensions(Some(Extensions::from_iter([("x-problem-types", json!(names))])));
    let waits = kinds.iter().filter(|kind| retry_after_seconds(**kind).is_some()).count();
    if waits > 0 {
        let retry = ("Seconds after which the same request may succeed.", schemas::count());
        let header = if waits == kinds.len() {
            answers::required(retry.0, retry.1)
        } else {
            answers::optional(retry.0, retry.1)
        };
        response = response.header("Retry-After", header);
    }
    response.build()
}
