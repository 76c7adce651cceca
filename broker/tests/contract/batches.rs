//! Batches: pushes and pulls in JSON and in frames, and settlements in bulk.

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use restante_wire::{
    ProblemType,
    batch::{
        Content, DeliveredHead, FRAMES_CONTENT_TYPE, HeaderValues, Item, ItemHead, PulledBatch, PushResult,
        PushResults, SettlementResults, decode_frames, encode_frame,
    },
};
use serde_json::{Value, json};

use crate::{
    broker::{Broker, assert_problem, header},
    operator::with_orders,
    policies::{at_once, stats},
};

fn push(broker: &Broker, batch: &Value) -> RequestBuilder {
    broker.request(Method::POST, "/v1/batches/acme/orders").json(batch)
}

async fn pushed(broker: &Broker, batch: &Value) -> PushResults {
    let response = push(broker, batch).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(header(&response, "message-durability"), "fsync");
    response.json().await.unwrap()
}

async fn pull(broker: &Broker, query: &str) -> Response {
    broker.request(Method::GET, &format!("/v1/batches/acme/orders?{query}")).send().await.unwrap()
}

#[tokio::test]
async fn each_item_of_a_batch_has_its_own_result_in_order_and_items_are_independent() {
    let broker = with_orders(|orders| orders.limits.message_bytes = 100).await;
    let batch = json!({"messages": [
        {"content": "one", "contentType": "text/plain", "headers": {"meta-a": "1", "meta-b": ["2", "3"]}},
        {"content": "x".repeat(101)},
        {"content64": "AP8=", "group": "g", "idempotencyKey": "k"},
        {"content": "late", "delaySeconds": 99999999},
        {"content": "header", "headers": {"host": "example.com"}},
        {"content64": "AP8=", "group": "g", "idempotencyKey": "k"},
        {"content": "other", "idempotencyKey": "k"},
        {"content": ""},
    ]});
    let results = pushed(&broker, &batch).await.results;
    let statuses: Vec<_> = results.iter().map(|result| result.status).collect();
    assert_eq!(statuses, [201, 413, 201, 400, 400, 201, 422, 201]);
    assert_eq!((results[5].replayed, &results[5].id), (true, &results[2].id));
    let problem = |index: usize| results[index].problem.as_ref().and_then(|problem| problem.problem_type());
    assert_eq!(problem(1), Some(ProblemType::MessageTooLarge));
    assert_eq!(problem(3), Some(ProblemType::ItemMalformed));
    assert_eq!(problem(4), Some(ProblemType::ItemMalformed));
    assert_eq!(problem(6), Some(ProblemType::IdempotencyMismatch));

    let response = pull(&broker, "wait=5&lease=60").await;
    assert_eq!(header(&response, "content-type"), "application/json");
    assert_eq!(header(&response, "cache-control"), "no-store");
    let messages = response.json::<PulledBatch>().await.unwrap().messages;
    let contents: Vec<_> = messages.iter().map(|message| message.content.0.clone()).collect();
    assert_eq!(contents, [b"one".to_vec(), vec![0, 255], Vec::new()]);
    let first = &messages[0];
    assert_eq!(first.id, *results[0].id.as_ref().unwrap());
    assert_eq!(first.content_type.as_deref(), Some("text/plain"));
    assert_eq!(first.headers["meta-a"], HeaderValues::One("1".into()));
    assert_eq!(first.headers["meta-b"], HeaderValues::Many(vec!["2".into(), "3".into()]));
    assert_eq!((first.deliveries, first.lease_seconds), (1, Some(60)));
    assert_eq!(messages[1].group.as_deref(), Some("g"));
    for message in &messages {
        let lease = restante_wire::path::lease(message.lease.as_ref().unwrap());
        let response = broker.request(Method::DELETE, &lease).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
    }
    assert_eq!(stats(&broker, "orders").await.messages(), 0);
}

#[tokio::test]
async fn a_batch_that_does_not_parse_is_400_and_stores_nothing() {
    let broker = with_orders(|_| ()).await;
    for bad in [
        json!({"messages": {"content": "a"}}),
        json!({"messages": [], "message": []}),
        json!({"items": []}),
        json!([]),
    ] {
        assert_problem(push(&broker, &bad).send().await.unwrap(), 400, ProblemType::BodyMalformed).await;
    }
    let frames =
        broker.request(Method::POST, "/v1/batches/acme/orders").header("content-type", FRAMES_CONTENT_TYPE);
    assert_problem(frames.body("\0\0\0").send().await.unwrap(), 400, ProblemType::BodyMalformed).await;
    let text = broker.request(Method::POST, "/v1/batches/acme/orders").header("content-type", "text/plain");
    assert_problem(text.body("a").send().await.unwrap(), 415, ProblemType::MediaTypeUnsupported).await;
    let many: Vec<_> = (0..1001).map(|_| json!({})).collect();
    let response = push(&broker, &json!({"messages": many})).send().await.unwrap();
    assert_problem(response, 413, ProblemType::BatchTooLarge).await;
    let large = json!({"messages": [{"content": "x".repeat(9 << 20)}]});
    assert_problem(push(&broker, &large).send().await.unwrap(), 413, ProblemType::BatchTooLarge).await;
    assert_eq!(stats(&broker, "orders").await.messages(), 0);
}

/// The detail of an item's problem, which is `item-malformed`; empty for a stored item.
fn malformed(result: &PushResult) -> String {
    let problem = result.problem.as_ref().unwrap_or_else(|| panic!("{result:?} is stored"));
    assert_eq!((result.status, problem.problem_type()), (400, Some(ProblemType::ItemMalformed)), "{problem}");
    problem.detail.clone()
}

#[tokio::test]
async fn an_invalid_item_is_400_with_the_path_of_its_field_and_the_others_are_stored() {
    let broker = with_orders(|_| ()).await;
    let bad = [
        (
            json!({"body": "important"}),
            "messages[0].body is an unknown field; known fields: content, content64",
        ),
        (
            json!({"content": "a", "delay": 60}),
            "messages[1].delay is an unknown field (did you mean delaySeconds?)",
        ),
        (
            json!({"content": "a", "key": "k"}),
            "messages[2].key is an unknown field (did you mean idempotencyKey?)",
        ),
        (json!({}), "messages[3] is invalid: the content is missing"),
        (json!({"content": "a", "content64": "YQ=="}), "content and content64 are both given"),
        (json!({"content64": "not base64"}), "content64 is not base64"),
        (json!({"content": 5}), "messages[6].content must be a string, not the number 5"),
        (json!({"content": "a", "delaySeconds": "5"}), "messages[7].delaySeconds must be whole seconds"),
        (json!({"content": "a", "delaySeconds": 99999999}), "messages[8].delaySeconds is 99999999 s"),
        (json!({"content": "a", "ttlSeconds": 0}), "messages[9].ttlSeconds is 0"),
        (
            json!({"content": "a", "group": ""}),
            "messages[10].group must be 1 to 128 visible ASCII characters",
        ),
        (json!({"content": "a", "headers": {"host": "x"}}), "messages[11].headers.host is not kept"),
        (
            json!({"content": "a", "contentType": "a/b", "headers": {"Content-Type": "c/d"}}),
            "messages[12].headers.Content-Type and contentType are both given",
        ),
        (
            json!({"content": "a", "contentEncoding": "br", "headers": {"content-encoding": "gzip"}}),
            "messages[13].headers.content-encoding and contentEncoding are both given",
        ),
        (
            json!({"content": "a", "headers": {"reply-to": ["a/b", "c/d"]}}),
            "headers.reply-to is given more than once",
        ),
        (json!("content"), "messages[15] must be an object, not a string"),
    ];
    let mut items: Vec<_> = bad.iter().map(|(item, _)| item.clone()).collect();
    items.push(json!({"content": "good"}));
    let results = pushed(&broker, &json!({"messages": items})).await.results;
    for ((item, expected), result) in bad.iter().zip(&results) {
        let detail = malformed(result);
        assert!(detail.contains(expected), "{item}: {detail}");
    }
    assert_eq!(results.last().map(|result| result.status), Some(201));
    assert_eq!(stats(&broker, "orders").await.messages(), 1);
}

#[tokio::test]
async fn a_frame_with_an_invalid_head_is_400_and_the_others_are_stored() {
    let broker = with_orders(|_| ()).await;
    let mut body = Vec::new();
    for head in [
        json!({"delay": 60}),
        json!({"content": "a"}),
        json!({"group": 5}),
        json!([]),
        json!({"contentType": "a/b", "headers": {"content-type": "c/d"}}),
        json!({"group": "g"}),
    ] {
        encode_frame(&head, b"content", &mut body);
    }
    let request =
        broker.request(Method::POST, "/v1/batches/acme/orders").header("content-type", FRAMES_CONTENT_TYPE);
    let results: PushResults = request.body(body).send().await.unwrap().json().await.unwrap();
    let results = results.results;
    for (result, expected) in results.iter().zip([
        "frames[0].delay is an unknown field (did you mean delaySeconds?)",
        "frames[1].content is an unknown field",
        "frames[2].group must be a string, not the number 5",
        "frames[3] must be an object, not an array",
        "frames[4].headers.content-type and contentType are both given",
    ]) {
        let detail = malformed(result);
        assert!(detail.contains(expected), "{detail}");
    }
    assert_eq!((results.len(), results[5].status), (6, 201));
    assert_eq!(stats(&broker, "orders").await.messages(), 1);
}

#[tokio::test]
async fn a_batch_above_1000_items_is_refused_at_the_first_item_beyond_and_not_read_further() {
    let broker = with_orders(|_| ()).await;
    let send = |path: &str, body: String| {
        broker.request(Method::POST, path).header("content-type", "application/json").body(body).send()
    };
    // The bytes after the item beyond the limit are not JSON, and are never read.
    let batch =
        format!("{{\"messages\": [{}{{\"content\": \"\"}}, oh no", "{\"content\": \"\"},".repeat(1000));
    let response = send("/v1/batches/acme/orders", batch).await.unwrap();
    assert_problem(response, 413, ProblemType::BatchTooLarge).await;
    for kind in ["ack", "release", "reject", "renew"] {
        let item = if kind == "ack" { "\"a\"" } else { "{\"lease\": \"a\"}" };
        let settlements = format!("{{\"{kind}\": [{}{item}, oh no", format!("{item},").repeat(1000));
        let response = send("/v1/settlements", settlements).await.unwrap();
        assert_problem(response, 413, ProblemType::BatchTooLarge).await;
    }
    assert_eq!(stats(&broker, "orders").await.messages(), 0);
}

#[tokio::test]
async fn media_types_ignore_case_and_a_byte_order_mark_is_skipped() {
    let broker = with_orders(|_| ()).await;
    let send = |path: &str, media_type: &str, body: Vec<u8>| {
        broker.request(Method::POST, path).header("content-type", media_type).body(body).send()
    };
    let batch = b"\xef\xbb\xbf{\"messages\": [{\"content\": \"a\"}]}".to_vec();
    let response = send("/v1/batches/acme/orders", "Application/JSON; charset=utf-8", batch).await.unwrap();
    assert_eq!(response.json::<PushResults>().await.unwrap().results[0].status, 201);
    let mut frame = Vec::new();
    encode_frame(&ItemHead::default(), b"b", &mut frame);
    let response = send("/v1/batches/acme/orders", "Application/Vnd.Restante.Batch", frame).await.unwrap();
    assert_eq!(response.json::<PushResults>().await.unwrap().results[0].status, 201);
    let settlements = b"\xef\xbb\xbf{\"ack\": []}".to_vec();
    let response = send("/v1/settlements", "APPLICATION/JSON", settlements).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn compressed_batches_and_settlements_are_415_and_the_detail_names_the_compression() {
    let broker = with_orders(|_| ()).await;
    for path in ["/v1/batches/acme/orders", "/v1/settlements"] {
        let request = || broker.request(Method::POST, path).header("content-type", "application/json");
        let named = request().header("content-encoding", "gzip").body("x");
        let unnamed = request().body(vec![0x1f, 0x8b, 8, 0]);
        for request in [named, unnamed] {
            let problem =
                assert_problem(request.send().await.unwrap(), 415, ProblemType::MediaTypeUnsupported).await;
            assert!(
                problem.detail.contains("compressed (gzip)")
                    && problem.detail.contains("send it uncompressed"),
                "{problem}"
            );
        }
    }
}

#[tokio::test]
async fn invalid_settlements_are_400_with_the_path_of_the_field() {
    let broker = with_orders(|_| ()).await;
    for (bad, expected) in [
        (json!({"acks": []}), "acks is an unknown field (did you mean ack?)"),
        (
            json!({"release": [{"lease": "a"}, {"lease": "a", "delaySeconds": 5}]}),
            "release[1].delaySeconds is an unknown field (did you mean delay?)",
        ),
        (
            json!({"release": [{"lease": "a", "delay": "5"}]}),
            "release[0].delay must be whole seconds from 0 to 4294967295, not a string",
        ),
        (json!({"release": [["a", 5]]}), "release[0] must be an object, not an array"),
        (json!({"reject": [{"reason": "r"}]}), "reject[0].lease is missing"),
        (json!({"renew": {}}), "renew must be an array, not an object"),
        (json!({"ack": [5]}), "ack[0] must be a string, not the number 5"),
        (json!([]), "the JSON must be an object, not an array"),
    ] {
        let response = broker.request(Method::POST, "/v1/settlements").json(&bad).send().await.unwrap();
        let problem = assert_problem(response, 400, ProblemType::BodyMalformed).await;
        assert!(problem.detail.contains(expected), "{bad}: {problem}");
    }
    let renew = json!({"renew": [{"lease": "a", "seconds": 0}]});
    let response = broker.request(Method::POST, "/v1/settlements").json(&renew).send().await.unwrap();
    let results: SettlementResults = response.json().await.unwrap();
    let problem = results.renew[0].problem.as_ref().unwrap();
    assert_eq!(problem.problem_type(), Some(ProblemType::ParameterMalformed));
}

#[tokio::test]
async fn a_batch_of_1000_items_needs_one_sync() {
    let broker = with_orders(|_| ()).await;
    let syncs = broker.metric("restante_store_sync_seconds_count").await;
    let messages: Vec<_> = (0..1000).map(|number| json!({"content": number.to_string()})).collect();
    let results = pushed(&broker, &json!({"messages": messages})).await.results;
    assert!(results.iter().all(|result| result.status == 201));
    assert_eq!(broker.metric("restante_store_sync_seconds_count").await - syncs, 1.0);
    let response = pull(&broker, "max=1000&wait=5").await;
    let messages = response.json::<PulledBatch>().await.unwrap().messages;
    assert_eq!(messages.len(), 1000);
    assert_eq!(messages[999].content.0, b"999");
}

#[tokio::test]
async fn frames_preserve_every_byte() {
    let broker = with_orders(|_| ()).await;
    let every_byte: Vec<u8> = (0..=255).collect();
    let mut body = Vec::new();
    let head = ItemHead {
        content_type: Some("application/x".into()),
        group: Some("g".into()),
        ..ItemHead::default()
    };
    encode_frame(&head, &every_byte, &mut body);
    encode_frame(&ItemHead::default(), b"", &mut body);
    let request =
        broker.request(Method::POST, "/v1/batches/acme/orders").header("content-type", FRAMES_CONTENT_TYPE);
    let results: PushResults = request.body(body).send().await.unwrap().json().await.unwrap();
    assert_eq!(results.results.iter().map(|result| result.status).collect::<Vec<_>>(), [201, 201]);

    let request =
        broker.request(Method::GET, "/v1/batches/acme/orders?wait=5").header("accept", FRAMES_CONTENT_TYPE);
    let response = request.send().await.unwrap();
    assert_eq!(header(&response, "content-type"), FRAMES_CONTENT_TYPE);
    let bytes = response.bytes().await.unwrap();
    let frames = decode_frames::<DeliveredHead>(&bytes).unwrap();
    assert_eq!(frames[0].1, every_byte);
    assert_eq!(frames[0].0.content_type.as_deref(), Some("application/x"));
    assert_eq!(frames[0].0.group.as_deref(), Some("g"));
    assert_eq!((frames[1].1, frames.len()), (&b""[..], 2));
    assert!(frames[1].0.lease.is_some());
}

#[tokio::test]
async fn a_batch_has_at_least_one_message_at_most_max_and_at_most_one_of_a_group() {
    let broker = with_orders(|_| ()).await;
    let batch = json!({"messages": [
        {"content": "a1", "group": "a"}, {"content": "a2", "group": "a"}, {"content": "b1", "group": "b"},
        {"content": "1"}, {"content": "2"},
    ]});
    pushed(&broker, &batch).await;
    let response = pull(&broker, "max=3&wait=0").await;
    let messages = response.json::<PulledBatch>().await.unwrap().messages;
    let contents: Vec<_> =
        messages.into_iter().map(|message| String::from_utf8(message.content.0).unwrap()).collect();
    assert_eq!(contents, ["a1", "b1", "1"]);
    assert_eq!(at_once(&broker).await.as_deref(), Some("2"));
    assert_eq!(pull(&broker, "wait=0").await.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_batch_of_large_messages_ends_at_the_limit_of_its_bytes() {
    let broker = with_orders(|_| ()).await;
    for _ in 0..9 {
        broker.pushed("acme/orders", vec![7; 1 << 20]).await;
    }
    let response = pull(&broker, "max=100&wait=0").await;
    assert_eq!(response.json::<PulledBatch>().await.unwrap().messages.len(), 8);
}

#[tokio::test]
async fn a_batch_pull_with_linger_ms_waits_for_more_messages() {
    let broker = with_orders(|_| ()).await;
    let waiting = broker.request(Method::GET, "/v1/batches/acme/orders?wait=20&max=2&linger_ms=5000").send();
    let waiting = tokio::spawn(waiting);
    broker.wait_for_metric("restante_waiting_receivers", 1.0).await;
    broker.pushed("acme/orders", "1").await;
    broker.pushed("acme/orders", "2").await;
    let messages = waiting.await.unwrap().unwrap().json::<PulledBatch>().await.unwrap().messages;
    assert_eq!(messages.len(), 2);
}

#[tokio::test]
async fn a_repeat_of_a_batchs_attempt_gets_the_whole_batch_again() {
    let broker = with_orders(|_| ()).await;
    for content in ["1", "2"] {
        broker.pushed("acme/orders", content).await;
    }
    let ask = || {
        let request = broker.request(Method::GET, "/v1/batches/acme/orders?wait=0");
        request.header("receive-attempt-id", "a").send()
    };
    let leases = |batch: PulledBatch| -> Vec<_> {
        batch.messages.iter().map(|message| message.lease.clone().unwrap()).collect()
    };
    let first = leases(ask().await.unwrap().json().await.unwrap());
    assert_eq!(first.len(), 2);
    assert_eq!(leases(ask().await.unwrap().json().await.unwrap()), first);
}

#[tokio::test]
async fn ack_auto_settles_a_whole_batch_before_the_answer_is_sent() {
    let broker = with_orders(|_| ()).await;
    for content in ["1", "2"] {
        broker.pushed("acme/orders", content).await;
    }
    let ask = broker
        .request(Method::GET, "/v1/batches/acme/orders?wait=0&ack=auto")
        .header("restante-settle", "yes");
    let messages = ask.send().await.unwrap().json::<PulledBatch>().await.unwrap().messages;
    assert_eq!(messages.len(), 2);
    assert!(messages.iter().all(|message| message.lease.is_none()));
    assert_eq!(stats(&broker, "orders").await.messages(), 0);
}

#[tokio::test]
async fn parameters_of_a_batch_beyond_their_bounds_are_400() {
    let broker = with_orders(|_| ()).await;
    for query in ["max=0", "max=1001", "linger_ms=5001", "max=ten"] {
        assert_problem(pull(&broker, query).await, 400, ProblemType::ParameterMalformed).await;
    }
}

#[tokio::test]
async fn settlements_have_the_same_outcomes_as_single_requests() {
    let broker = with_orders(|_| ()).await;
    for number in 0..5 {
        broker.pushed("acme/orders", number.to_string()).await;
    }
    let messages = pull(&broker, "wait=0").await.json::<PulledBatch>().await.unwrap().messages;
    let lease = |index: usize| messages[index].lease.clone().unwrap();
    let settlements = json!({
        "ack": [lease(0), format!("/v1/leases/{}", lease(0)), "nonsense"],
        "release": [{"lease": lease(1), "delay": 0}, {"lease": lease(2), "delay": 3600, "uncounted": true}],
        "reject": [{"lease": lease(3), "reason": "no such part"}, {"lease": lease(4), "reason": "\u{e4}"}],
        "renew": [{"lease": lease(4), "seconds": 77}, {"lease": lease(1)}],
    });
    let request = broker.request(Method::POST, "/v1/settlements").json(&settlements);
    let results: SettlementResults = request.send().await.unwrap().json().await.unwrap();
    let statuses = |results: &[restante_wire::batch::LeaseResult]| -> Vec<_> {
        results.iter().map(|result| result.status).collect()
    };
    assert_eq!(statuses(&results.ack), [204, 204, 404]);
    assert_eq!(statuses(&results.release), [204, 204]);
    assert_eq!(statuses(&results.reject), [204, 400]);
    assert_eq!(statuses(&results.renew), [200, 410]);
    assert_eq!(results.renew[0].lease_seconds, Some(77));
    let found = stats(&broker, "orders").await;
    assert_eq!((found.ready, found.leased, found.delayed, found.dead), (1, 1, 1, 1));
}

#[tokio::test]
async fn settlements_that_do_not_parse_are_400_and_do_nothing() {
    let broker = with_orders(|_| ()).await;
    broker.pushed("acme/orders", "x").await;
    let (_, lease) = broker.pulled("acme/orders").await;
    for bad in [json!({"ack": lease}), json!({"acks": [lease]}), json!([lease])] {
        let response = broker.request(Method::POST, "/v1/settlements").json(&bad).send().await.unwrap();
        assert_problem(response, 400, ProblemType::BodyMalformed).await;
    }
    let many = json!({"ack": vec![lease; 1001]});
    let response = broker.request(Method::POST, "/v1/settlements").json(&many).send().await.unwrap();
    assert_problem(response, 413, ProblemType::BatchTooLarge).await;
    let response = broker.request(Method::POST, "/v1/settlements").body("{}").send().await.unwrap();
    assert_problem(response, 415, ProblemType::MediaTypeUnsupported).await;
    assert_eq!(stats(&broker, "orders").await.leased, 1);
}

#[test]
fn an_item_is_serialised_with_only_its_set_fields() {
    let item = Item {
        content: Content(b"text".to_vec()),
        head: ItemHead { group: Some("g".into()), ..ItemHead::default() },
    };
    assert_eq!(serde_json::to_value(&item).unwrap(), json!({"content": "text", "group": "g"}));
}

#[tokio::test]
async fn message_ids_ascend_within_one_millisecond() {
    let broker = with_orders(|_| ()).await;
    let items = vec![json!({ "content": "x" }); 500];
    let results = pushed(&broker, &json!({ "messages": items })).await.results;
    let ids: Vec<_> = results.into_iter().map(|result| result.id.unwrap()).collect();
    assert_eq!(ids.len(), 500);
    assert!(ids.is_sorted_by(|one, next| one < next), "{ids:?}");
}
