//! Operations outside of `/v1`: health checks, and the pages of problem types.

use restante_wire::ProblemType as P;
use utoipa::openapi::{
    ContentBuilder, ResponseBuilder,
    path::{Operation, OperationBuilder},
};

use super::{answers, problems::with_these_problems, schemas};

const TAG: &str = "service";

/// `GET /livez`.
pub fn live() -> Operation {
    probe("live", "Liveness check", "503 means that the broker should be restarted.")
}

/// `HEAD /livez`.
pub fn live_head() -> Operation {
    probe("liveHead", "Liveness check", "503 means that the broker should be restarted.")
}

/// `GET /readyz`.
pub fn ready() -> Operation {
    probe(
        "ready",
        "Readiness check: whether the broker accepts and delivers messages",
        "503 during a drain, before the broker has a channel configuration, and after its disk failed.",
    )
}

/// `HEAD /readyz`.
pub fn ready_head() -> Operation {
    probe(
        "readyHead",
        "Readiness check: whether the broker accepts and delivers messages",
        "503 during a drain, before the broker has a channel configuration, and after its disk failed.",
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
        "For health checks of load balancers: no credential, any Host and Origin; a query is ignored. {what}"
    );
    let line = |what| {
        let text = ContentBuilder::new().schema(Some(schemas::text())).build();
        answers::not_stored(what).content("text/plain", text).build()
    };
    let operation = answers::operation(id, TAG, summary, &description)
        .response("200", line("The check passed."))
        .response("503", line("The check failed; the text says why."));
    internal(operation)
}

fn of_a_page(id: &str) -> Operation {
    let operation = answers::operation(
        id,
        TAG,
        "The page of a problem type",
        "What the problem means and what to do, as HTML if Accept names it, else as Markdown. The header Link of each \
         problem answer leads here. Any Host and Origin; a query is ignored.",
    );
    let page = |what: &str| {
        let text = || ContentBuilder::new().schema(Some(schemas::text())).build();
        ResponseBuilder::new()
            .description(what)
            .header(
                "Cache-Control",
                answers::required("Caches must revalidate the page.", schemas::one_of(&["no-cache"])),
            )
            .header("Vary", answers::required("Names Accept, which changes the answer.", schemas::text()))
            .content("text/markdown", text())
            .content("text/html", text())
            .build()
    };
    let operation = operation
        .response("200", page("The page."))
        .response("404", page("The problem type is unknown: the list of all types."));
    internal(operation)
}

fn internal(operation: OperationBuilder) -> Operation {
    with_these_problems(operation, [P::Internal]).build()
}
