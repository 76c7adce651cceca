"""Rules of Restante that OpenAPI cannot express, and an additional check."""

import schemathesis
from schemathesis import GenerationMode

# Default limits of a channel.
DELAY_SECONDS_MAX = 43_200
TTL_SECONDS_MAX = 1_209_600
# A channel that only streams use, so that it always has a message.
STREAMS = {"namespace": "acme", "name": "streams"}


@schemathesis.hook
def map_case(context, case):
    """Makes a request that is valid by the schema also valid by rules between parameters, which no schema expresses."""
    if case.meta is None or case.meta.generation.mode != GenerationMode.POSITIVE:
        return case
    query, headers = case.query, case.headers
    if query and "in_flight" in query:
        # in_flight is for streams, which take neither wait nor ack.
        if "name" in case.path_parameters:
            case.path_parameters = dict(STREAMS)
            headers["Accept"] = "text/event-stream"
            case.query = {name: query[name] for name in ("in_flight", "lease") if name in query}
            # Headers without effect on a stream are refused.
            for name in ("Acknowledge", "Receive-Attempt-Id"):
                headers.pop(name, None)
        else:
            del query["in_flight"]
    if query and "ack" in query and headers is not None:
        # A repeat cannot get a settled message again, so ack=auto excludes an attempt id.
        headers.pop("Receive-Attempt-Id", None)
        # By GET, ack=auto must be confirmed.
        headers["Restante-Settle"] = "yes"
    if query and "ack" in query:
        # With ack=auto there is no lease.
        query.pop("lease", None)
    if headers and not (case.query and "ack" in case.query):
        # Without ack=auto, this header has no effect and is refused.
        headers.pop("Restante-Settle", None)
    if query and query.get("state") == "dead-letters":
        # These cursors have another format.
        query.pop("after", None)
    if query and "delay" in query:
        query["delay"] = str(int(query["delay"]) % DELAY_SECONDS_MAX)
    if headers and "Message-TTL" in headers:
        headers["Message-TTL"] = str(1 + int(headers["Message-TTL"]) % TTL_SECONDS_MAX)
    if headers and "Message-Delay" in headers:
        # A delay must be shorter than the time to live.
        lives = int(headers.get("Message-TTL", TTL_SECONDS_MAX))
        headers["Message-Delay"] = str(int(headers["Message-Delay"]) % min(DELAY_SECONDS_MAX, lives))
    return case


# Titles of failures about a content that does not match its Content-Type, or has none.
ABOUT_CONTENT = (
    "Missing Content-Type header",
    "Malformed media type",
    "Content deserialization error",
    "JSON deserialization error",
)


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Drops failures that the document allows."""
    return not is_about_the_senders_content(failure, case, response) and not is_reported_in_results(failure, case, response)


def is_about_the_senders_content(failure, case, response):
    """A message is delivered with the Content-Type that its sender gave, even if it is missing or wrong."""
    of_a_message = case.operation.definition.raw["operationId"].startswith(("pull", "receive"))
    return (
        of_a_message
        and response.status_code == 200
        and "message-id" in response.headers
        and failure.title in ABOUT_CONTENT
    )


def is_reported_in_results(failure, case, response):
    """Items of a batch are independent: a refused item is reported in its result, and the batch is 200."""
    if failure.title != "Schema-violating request accepted" or response.status_code != 200:
        return False
    if case.operation.definition.raw["operationId"] == "settleMany":
        results = [result for results in response.json().values() for result in results]
    elif case.operation.definition.raw["operationId"].startswith("pushBatch"):
        results = response.json()["results"]
    else:
        return False
    return any(400 <= result["status"] < 500 for result in results)


@schemathesis.check
def problem_type_conformance(ctx, response, case):
    """The document lists the problem type for the answer."""
    if case.method.upper() == "HEAD" or response.status_code < 400:
        return
    answers = case.operation.definition.raw["responses"]
    answer = answers.get(str(response.status_code))
    if answer is None:
        # The check of status codes reports that.
        return
    if response.headers.get("content-type") != ["application/problem+json"] and "x-problem-types" not in answer:
        # Problem pages and probes answer with text for people.
        return
    problem = response.json()
    name = problem["type"].removeprefix("https://restante.dev/errors/")
    assert name in answer["x-problem-types"], f"{name} is not listed for {response.status_code}"
    assert problem["status"] == response.status_code, "the problem names another status"
