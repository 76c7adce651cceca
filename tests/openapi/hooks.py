"""What the fuzzer must know of Restante that OpenAPI cannot say, and one check more."""

import schemathesis
from schemathesis import GenerationMode

# What a channel takes whose manifest names no limits.
DELAY_SECONDS_MAX = 43_200
TTL_SECONDS_MAX = 1_209_600
# The channel whose messages only streams take, so that one is always there.
STREAMS = {"namespace": "acme", "name": "streams"}


@schemathesis.hook
def map_case(context, case):
    """Makes what is valid by the schema valid by the rules between parameters that no schema holds."""
    if case.meta is None or case.meta.generation.mode != GenerationMode.POSITIVE:
        return case
    query, headers = case.query, case.headers
    if query and "in_flight" in query:
        # Of streams; they take neither wait nor ack.
        if "name" in case.path_parameters:
            case.path_parameters = dict(STREAMS)
            headers["Accept"] = "text/event-stream"
            case.query = {name: query[name] for name in ("in_flight", "lease") if name in query}
            # What has no effect on a stream is refused.
            for name in ("Acknowledge", "Receive-Attempt-Id"):
                headers.pop(name, None)
        else:
            del query["in_flight"]
    if query and "ack" in query and headers is not None:
        # What is settled at once cannot be had again.
        headers.pop("Receive-Attempt-Id", None)
        # By GET it has to be meant.
        headers["Restante-Settle"] = "yes"
    if query and "ack" in query:
        # And has no lease.
        query.pop("lease", None)
    if headers and not (case.query and "ack" in case.query):
        # What has no effect is refused.
        headers.pop("Restante-Settle", None)
    if query and query.get("state") == "dead-letters":
        # Their cursors are of another layout.
        query.pop("after", None)
    if query and "delay" in query:
        query["delay"] = str(int(query["delay"]) % DELAY_SECONDS_MAX)
    if headers and "Message-TTL" in headers:
        headers["Message-TTL"] = str(1 + int(headers["Message-TTL"]) % TTL_SECONDS_MAX)
    if headers and "Message-Delay" in headers:
        # A message that expires before it is due could never be received.
        lives = int(headers.get("Message-TTL", TTL_SECONDS_MAX))
        headers["Message-Delay"] = str(int(headers["Message-Delay"]) % min(DELAY_SECONDS_MAX, lives))
    return case


# What a check says of a content that is not of its Content-Type, or has none.
ABOUT_CONTENT = (
    "Missing Content-Type header",
    "Malformed media type",
    "Content deserialization error",
    "JSON deserialization error",
)


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Drops what is no failure by the words of the document."""
    return not is_a_senders_own(failure, case, response) and not is_in_the_results(failure, case, response)


def is_a_senders_own(failure, case, response):
    """A message comes back as it was sent: under the sender's Content-Type, if it named one, be it true or not."""
    of_a_message = case.operation.definition.raw["operationId"].startswith(("pull", "receive"))
    return (
        of_a_message
        and response.status_code == 200
        and "message-id" in response.headers
        and failure.title in ABOUT_CONTENT
    )


def is_in_the_results(failure, case, response):
    """Items of a batch are independent: one that is refused is refused in its result, and the batch is 200."""
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
    """A problem is of a type that the document lists for the answer."""
    if case.method.upper() == "HEAD" or response.status_code < 400:
        return
    answers = case.operation.definition.raw["responses"]
    answer = answers.get(str(response.status_code))
    if answer is None:
        # The check of status codes says so.
        return
    if response.headers.get("content-type") != ["application/problem+json"] and "x-problem-types" not in answer:
        # The pages of problem types and probes tell people why.
        return
    problem = response.json()
    name = problem["type"].removeprefix("https://restante.dev/errors/")
    assert name in answer["x-problem-types"], f"{name} is not listed for {response.status_code}"
    assert problem["status"] == response.status_code, "the problem names another status"
