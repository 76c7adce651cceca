//! What is served beside the contract: health checks, and the pages of problem types.

use restante_wire::ProblemType as P;
use utoipa::openapi::{
    ContentBuilder, ResponseBuilder,
    path::{Operation, OperationBuilder},
};

use super::{answers, problems::with_these_problems, schemas};

const TAG: &str = "beside";

/// `GET /livez`.
pub fn live() -> Operation {
    probe("live", "Whether the broker lives", "A restart helps where it is 503.")
}

/// `HEAD /livez`.
pub fn live_head() -> Operation {
    probe("liveHead", "Whether the broker lives", "A restart helps where it is 503.")
}

/// `GET /readyz`.
pub fn ready() -> Operation {
    probe(
        "ready",
        "Whether the broker takes and gives messages",
        "503 in a drain, and before it has channels.",
    )
}

/// `HEAD /readyz`.
pub fn ready_head() -> Operation {
    probe(
        "readyHead",
        "Whether the broker takes and gives messages",
        "503 in a drain, and before it has channels.",
    )
}

/// `GET /errors/{name}`.
pub fn page() -> Operation {
    of_a_page("page")
}

/// `HEAD /errors/{name}`.
pub fn page_head() -> Operation {
    of_a_page("pageHead")
}

fn probe(id: &str, summary: &str, what: &str) -> Operation {
    let description = format!(
        "For health checks of balancers: no credential, any Host and Origin; a query is passed over. {what}"
    );
    let line = |what| {
        let text = ContentBuilder::new().schema(Some(schemas::text())).build();
        answers::not_stored(what).content("text/plain", text).build()
    };
    let operation = answers::operation(id, TAG, summary, &description)
        .response("200", line("It does."))
        .response("503", line("It does not: the line says why."));
    internal(operation)
}

fn of_a_page(id: &str) -> Operation {
    let operation = answers::operation(
        id,
        TAG,
        "The page of a problem type",
        "What the problem means and what to do, as HTML where Accept names it, else as Markdown. The header Link of each \
         problem answer leads here. Any Host and Origin; a query is passed over.",
    );
    let page = |what: &str| {
        let text = || ContentBuilder::new().schema(Some(schemas::text())).build();
        ResponseBuilder::new()
            .description(what)
            .header(
                "Cache-Control",
                answers::required("Asked for again each time.", schemas::one_of(&["no-cache"])),
            )
            .header("Vary", answers::required("Accept changes the answer.", schemas::text()))
            .content("text/markdown", text())
            .content("text/html", text())
            .build()
    };
    let operation = operation
        .response("200", page("The page."))
        .response("404", page("There is no such problem type: the list of all."));
    internal(operation)
}

fn internal(operation: OperationBuilder) -> Operation {
    with_these_problems(operation, [P::Internal]).build()
}
