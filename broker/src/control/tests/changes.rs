//! Changes of the set of channels through the control port.

use restante_wire::channel::Durability;

use super::*;

#[tokio::test]
async fn a_complete_set_is_accepted_and_withdrawn_channels_are_notified() {
    let port = Port::open();
    let state: StoreState = ok(port.send(Method::GET, path::CONTROL_REVISION, Body::empty()).await).await;
    assert_eq!((state.synced_at, state.channels), (None, 0));

    let set = [config("one"), config("two")];
    let state: StoreState = ok(port.sync(&set).await).await;
    assert_eq!((state.revision, state.channels, state.orphans), (Revision::of(&set), 2, 0));
    assert!(state.synced_at.is_some() && port.store.is_programmed());
    assert!(lock(&port.calls.withdrawn).is_empty());

    let one = port.store.by_name("acme", "one").unwrap().id;
    let state: StoreState = ok(port.sync(&set[1..]).await).await;
    assert_eq!((state.channels, state.orphans), (1, 1));
    assert_eq!(*lock(&port.calls.withdrawn), [one]);
    let again: StoreState = ok(port.send(Method::GET, path::CONTROL_REVISION, Body::empty()).await).await;
    assert_eq!(again, state);
}

#[tokio::test]
async fn a_set_may_arrive_in_pieces_of_any_size_and_may_be_empty() {
    let port = Port::open();
    let text = format!("\n{}", ndjson(&[config("one"), config("two")]).replace('\n', "\r\n"));
    let pieces =
        text.trim_end().as_bytes().chunks(7).map(|piece| Ok::<_, ShardGone>(Bytes::copy_from_slice(piece)));
    let body = Body::from_stream(stream::iter(pieces.collect::<Vec<_>>()));
    let state: StoreState = ok(port.send(Method::POST, path::CONTROL_SYNC, body).await).await;
    assert_eq!(state.channels, 2);
    let state: StoreState = ok(port.sync(&[]).await).await;
    assert_eq!((state.channels, state.orphans), (0, 2));
}

#[tokio::test]
async fn a_set_cut_off_between_two_lines_is_refused() {
    let port = Port::open();
    let _: StoreState = ok(port.sync(&[config("one"), config("two")]).await).await;
    let revision = port.store.state().revision;
    // The connection breaks exactly between two lines.
    let pieces = [Ok(Bytes::from(ndjson(&[config("one")]))), Err(ShardGone)];
    let body = Body::from_stream(stream::iter(pieces));
    let (status, kind, _) = problem(port.send(Method::POST, path::CONTROL_SYNC, body).await).await;
    assert_eq!((status, kind), (400, ProblemType::BodyIncomplete));
    assert_eq!(port.store.state().revision, revision);
}

#[tokio::test]
async fn an_invalid_line_is_named_and_nothing_is_applied() {
    let port = Port::open();
    let mut unknown = serde_json::to_value(config("two")).unwrap();
    unknown["colour"] = "red".into();
    let good = ndjson(&[config("one")]);
    for (text, says) in [
        (format!("{good}{unknown}\n"), "colour"),
        (format!("{good}{{\n"), "line 2"),
        (format!("{good}\"{}", "x".repeat(LINE_BYTES_MAX)), "line 2 exceeds the limit of 65536 bytes"),
    ] {
        let (status, kind, detail) = problem(port.send(Method::POST, path::CONTROL_SYNC, text).await).await;
        assert_eq!((status, kind), (400, ProblemType::BodyMalformed));
        assert!(detail.contains(says), "{detail}");
    }
    let mut invalid = config("two");
    invalid.delivery.lease_seconds = 0;
    let (status, kind, detail) = problem(port.sync(&[config("one"), invalid]).await).await;
    assert_eq!((status, kind), (400, ProblemType::ChannelInvalid));
    assert!(detail.contains("acme/two") && detail.contains("delivery.leaseSeconds"), "{detail}");
    assert!(port.store.channels().is_empty() && !port.store.is_programmed());
}

#[tokio::test]
async fn the_problem_of_one_channel_has_its_uid_in_a_member_of_its_own() {
    let port = Port::open();
    let blamed = async |response: Response| {
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let problem: ControlProblem = serde_json::from_slice(&body).unwrap();
        (problem.problem.problem_type().unwrap(), problem.uid)
    };
    let mut invalid = config("two");
    invalid.delivery.lease_seconds = 0;
    let refused = port.sync(&[config("one"), invalid.clone()]).await;
    assert_eq!(blamed(refused).await, (ProblemType::ChannelInvalid, Some(invalid.uid)));

    let _: StoreState = ok(port.sync(&[config("one"), config("two")]).await).await;
    let mut volatile = config("two");
    volatile.durability = Durability::Memory;
    let refused = port.send(Method::PUT, &channel_path("two"), ndjson(&[volatile])).await;
    assert_eq!(blamed(refused).await, (ProblemType::ChannelInvalid, Some(config("two").uid)));
    let _: ChannelDeleted = ok(port.send(Method::DELETE, &channel_path("one"), Body::empty()).await).await;
    let refused = port.sync(&[config("one"), config("two")]).await;
    assert_eq!(blamed(refused).await, (ProblemType::ChannelDeleted, Some(config("one").uid)));

    // A conflict has two channels.
    let mut three = config("three");
    three.source = config("two").source;
    let refused = port.sync(&[config("two"), three]).await;
    assert_eq!(blamed(refused).await, (ProblemType::ChannelConflict, None));
}

#[tokio::test]
async fn a_conflict_names_both_channels_and_nothing_is_applied() {
    let port = Port::open();
    let mut two = config("two");
    two.source = config("one").source;
    let (status, kind, detail) = problem(port.sync(&[config("one"), two.clone()]).await).await;
    assert_eq!((status, kind), (409, ProblemType::ChannelConflict));
    assert!(
        detail.contains("acme/one") && detail.contains("acme/two") && detail.contains("source"),
        "{detail}"
    );
    assert!(!port.store.is_programmed());

    let _: StoreState =
        ok(port.send(Method::PUT, &channel_path("one"), ndjson(&[config("one")])).await).await;
    let response = port.send(Method::PUT, &channel_path("two"), ndjson(&[two])).await;
    assert_eq!(problem(response).await.1, ProblemType::ChannelConflict);
}

#[tokio::test]
async fn a_put_of_another_channel_than_its_path_names_is_refused() {
    let port = Port::open();
    let body = ndjson(&[config("one")]);
    let response = port.send(Method::PUT, &channel_path("two"), body.clone()).await;
    assert_eq!(problem(response).await.1, ProblemType::BodyMalformed);
    let response = port.send(Method::PUT, &format!("{}one", path::CONTROL_CHANNELS), body).await;
    assert_eq!(problem(response).await.1, ProblemType::ParameterMalformed);
    let response = port.send(Method::PUT, &channel_path("one"), " ".repeat(LINE_BYTES_MAX + 1)).await;
    assert_eq!(problem(response).await.1, ProblemType::BodyMalformed);
    assert!(port.store.channels().is_empty());
}

#[tokio::test]
async fn a_channel_with_messages_is_deleted_only_by_force_and_never_comes_back() {
    let port = Port::open();
    let _: StoreState = ok(port.sync(&[config("one")]).await).await;
    let one = port.store.by_uid(config("one").uid).unwrap().id;
    lock(&port.calls.messages).insert(one, 42);
    let (status, kind, detail) =
        problem(port.send(Method::DELETE, &channel_path("one"), Body::empty()).await).await;
    assert_eq!((status, kind), (409, ProblemType::ChannelNotEmpty));
    assert!(detail.contains("42"), "{detail}");
    assert!(lock(&port.calls.closed).is_empty() && port.store.is_known(one));

    let path = format!("{}?force=true", channel_path("one"));
    let deleted: ChannelDeleted = ok(port.send(Method::DELETE, &path, Body::empty()).await).await;
    assert_eq!((deleted.messages, deleted.store.channels), (42, 0));
    assert_eq!(*lock(&port.calls.closed), [one]);

    // Again, and of one that never was: there is nothing left to do.
    for name in ["one", "never"] {
        let deleted: ChannelDeleted =
            ok(port.send(Method::DELETE, &channel_path(name), Body::empty()).await).await;
        assert_eq!(deleted.messages, 0);
    }
    assert_eq!(lock(&port.calls.closed).len(), 1);
    let put = port.send(Method::PUT, &channel_path("one"), ndjson(&[config("one")])).await;
    let (status, kind, detail) = problem(put).await;
    assert_eq!((status, kind), (410, ProblemType::ChannelDeleted));
    assert!(detail.contains(&config("one").uid.to_string()), "{detail}");
    assert_eq!(
        problem(port.sync(&[config("one"), config("two")]).await).await.1,
        ProblemType::ChannelDeleted
    );
    assert!(port.store.channels().is_empty());
}

#[tokio::test]
async fn force_is_the_only_parameter_of_a_delete() {
    let port = Port::open();
    for (query, kind) in [
        ("force=yes", ProblemType::ParameterMalformed),
        ("force", ProblemType::ParameterMalformed),
        ("forse=true", ProblemType::ParameterUnknown),
    ] {
        let path = format!("{}?{query}", channel_path("one"));
        let (status, found, detail) = problem(port.send(Method::DELETE, &path, Body::empty()).await).await;
        assert_eq!((status, found), (400, kind), "{detail}");
    }
}

#[tokio::test]
async fn a_deletion_is_completed_even_if_its_client_hangs_up() {
    let port = Port::open();
    let _: StoreState = ok(port.sync(&[config("one")]).await).await;
    *lock(&port.calls.slow) = true;
    let path = channel_path("one");
    tokio::select! {
        _ = port.send(Method::DELETE, &path, Body::empty()) => panic!("closing cannot have ended"),
        () = port.calls.began.notified() => {}
    }
    port.calls.may_end.notify_one();
    while port.store.by_uid(config("one").uid).is_some() {
        tokio::task::yield_now().await;
    }
}
