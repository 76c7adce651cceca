//! Reads the objects that have the names of a MessageBroker's children, and its claim.

use k8s_openapi::{
    api::{
        apps::v1::StatefulSet,
        core::v1::{Event, PersistentVolumeClaim, Secret, Service, ServiceAccount},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
    jiff::{SignedDuration, Timestamp},
};
use kube::{Api, Resource, api::ListParams, core::NamespaceResourceScope};
use restante_wire::control_token::{ControlTokenError, MAKE_CONTROL_TOKEN, control_token};
use serde::de::DeserializeOwned;

use crate::{context::Context, names, shared::error::Error};

/// The maximum age of an event that explains a missing pod or volume. Kubernetes retries within 1000 s, with a new
/// event.
const EVENT_AGE_MAX: SignedDuration = SignedDuration::from_mins(20);

/// The control credential of a broker. Generated once and never changed, because a change requires a restart of the
/// broker.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential(pub String);

/// The objects that have the names of the children, of any owner.
#[derive(Debug, Clone, Default)]
pub struct Found {
    pub service_account: Option<ObjectMeta>,
    pub credential: Option<Secret>,
    pub headless: Option<Service>,
    /// The clients' Service.
    pub service: Option<ObjectMeta>,
    pub workload: Option<StatefulSet>,
    /// The claim of the pod.
    pub claim: Option<PersistentVolumeClaim>,
}

/// Reads the objects from the API server. A watch may be behind, and an existing object would seem to be absent.
pub async fn found(context: &Context, name: &str) -> Result<Found, Error> {
    let workload = names::workload(name);
    let (headless, secret) = (names::headless(name), names::credential(name));
    let (service_account, credential, headless, service, workload, claim) = tokio::try_join!(
        metadata::<ServiceAccount>(context, &workload),
        read::<Secret>(context, &secret),
        read::<Service>(context, &headless),
        metadata::<Service>(context, &workload),
        read::<StatefulSet>(context, &workload),
        claim_of(context, name),
    )?;
    Ok(Found { service_account, credential, headless, service, workload, claim })
}

/// Reads the object that has the name of a broker's claim. The broker need not exist.
pub async fn claim_of(context: &Context, broker: &str) -> Result<Option<PersistentVolumeClaim>, Error> {
    read::<PersistentVolumeClaim>(context, &names::claim(broker)).await
}

fn api<K>(context: &Context) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    Api::namespaced(context.client.clone(), &context.args.namespace)
}

async fn metadata<K>(context: &Context, name: &str) -> Result<Option<ObjectMeta>, Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned,
{
    let found = api::<K>(context).get_metadata_opt(name).await;
    let found = found.map_err(Error::kube(format!("read {} {name}", K::kind(&()))))?;
    Ok(found.map(|found| found.metadata))
}

async fn read<K>(context: &Context, name: &str) -> Result<Option<K>, Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned,
{
    let found = api::<K>(context).get_opt(name).await;
    found.map_err(Error::kube(format!("read {} {name}", K::kind(&()))))
}

/// Why Kubernetes creates no pod for a StatefulSet, from its events: a quota, a LimitRange, an admission controller. No
/// status contains this. A missing permission to read events is only logged.
pub async fn pod_creation_error(context: &Context, workload: &StatefulSet) -> Option<String> {
    failure_event(context, workload).await
}

/// Why Kubernetes binds no volume to a claim, from its events.
pub async fn binding_error(context: &Context, claim: &PersistentVolumeClaim) -> Option<String> {
    failure_event(context, claim).await
}

async fn failure_event<K: Resource>(context: &Context, object: &K) -> Option<String> {
    let uid = object.meta().uid.as_deref()?;
    let selector = format!("involvedObject.uid={uid}");
    let events = api::<Event>(context).list(&ListParams::default().fields(&selector)).await;
    let events = events.inspect_err(|error| tracing::debug!(%error, "cannot list events")).ok()?;
    latest(events.items, context.now())
}

fn latest(events: Vec<Event>, now: Timestamp) -> Option<String> {
    let when = |event: &Event| {
        let series =
            event.series.as_ref().and_then(|series| series.last_observed_time.as_ref()).map(|time| time.0);
        let last = event.last_timestamp.as_ref().map(|time| time.0);
        series.max(last).max(event.event_time.as_ref().map(|time| time.0))
    };
    let failed = events.into_iter().filter(|event| {
        event
            .reason
            .as_deref()
            .is_some_and(|reason| reason.starts_with("Failed") || reason.ends_with("Failed"))
            && when(event).is_some_and(|when| now.duration_since(when) < EVENT_AGE_MAX)
    });
    failed.max_by_key(when)?.message
}

/// The credential in our Secret, validated by the broker's own rule. `None` if the key is missing or empty and the
/// operator may write one.
pub fn credential(secret: &Secret) -> Result<Option<Credential>, ControlTokenError> {
    let held = secret.data.as_ref().and_then(|data| data.get(names::TOKEN_KEY));
    let held = held.map(|held| held.0.as_slice()).unwrap_or_default();
    match control_token(held) {
        Err(ControlTokenError::Empty) if secret.immutable != Some(true) => Ok(None),
        token => token.map(|token| Some(Credential(token.to_owned()))),
    }
}

/// The message about a token that the broker would refuse. With such a token, every start of the broker would exit with
/// 78. An immutable Secret must be deleted, because its token cannot be replaced.
pub fn invalid_token_message(
    (namespace, broker): (&str, &str),
    error: &ControlTokenError,
    secret_is_fixed: bool,
) -> String {
    let (key, secret) = (names::TOKEN_KEY, names::credential(broker));
    let remedy = if secret_is_fixed {
        format!(
            "the Secret is immutable. Delete it with `kubectl -n {namespace} delete secret {secret}`, and the operator \
             recreates it with a new token"
        )
    } else {
        format!(
            "remove the key, and the operator generates a token, or set one yourself, for example with: \
             {MAKE_CONTROL_TOKEN}"
        )
    };
    format!("the control token in key {key} of Secret {secret} {error}; {remedy}")
}

/// Generates a credential of 32 random bytes, in hexadecimal: it is as hard to guess as a 256-bit key.
pub fn generate() -> Result<Credential, Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(Error::Random)?;
    Ok(Credential(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;
    use serde_json::json;

    use super::*;

    fn secret(text: &str) -> Secret {
        Secret {
            data: Some([(names::TOKEN_KEY.to_owned(), ByteString(text.into()))].into()),
            ..Secret::default()
        }
    }

    #[test]
    fn generated_tokens_differ_and_are_valid_for_the_broker() {
        let (one, other) = (generate().unwrap(), generate().unwrap());
        assert!(one != other);
        assert_eq!(control_token(one.0.as_bytes()), Ok(one.0.as_str()));
    }

    fn token_in(secret: &Secret) -> Result<Option<String>, ControlTokenError> {
        Ok(credential(secret)?.map(|credential| credential.0))
    }

    #[test]
    fn an_empty_secret_has_no_credential() {
        for none in [secret(""), secret("\n"), Secret::default()] {
            assert_eq!(token_in(&none), Ok(None));
        }
    }

    #[test]
    fn operator_and_broker_read_the_same_token_of_a_secret() {
        let token = "t".repeat(32);
        assert_eq!(token_in(&secret(&format!("{token}\n"))), Ok(Some(token)));
        for (refused, error) in [
            ("short", ControlTokenError::TooShort),
            (" a-token-after-a-space-that-is-long-enough", ControlTokenError::Character { position: 1 }),
        ] {
            assert_eq!(token_in(&secret(refused)), Err(error), "{refused}");
        }
    }

    #[test]
    fn the_message_of_an_invalid_token_names_its_secret_its_key_and_the_remedy() {
        assert_eq!(
            invalid_token_message(("mq", "mine"), &ControlTokenError::TooShort, false),
            "the control token in key token of Secret restante-mine-control has fewer than 32 characters (not counting = \
             at its end) and can be guessed; remove the key, and the operator generates a token, or set one yourself, for \
             example with: head -c 32 /dev/urandom | base64"
        );
    }

    #[test]
    fn the_advice_for_an_immutable_secret_is_to_delete_it() {
        for mut fixed in [secret(""), Secret::default()] {
            fixed.immutable = Some(true);
            assert_eq!(token_in(&fixed), Err(ControlTokenError::Empty));
        }
        let reported = invalid_token_message(("mq", "mine"), &ControlTokenError::Empty, true);
        assert!(reported.contains("is empty; the Secret is immutable"), "{reported}");
        assert!(reported.contains("`kubectl -n mq delete secret restante-mine-control`"), "{reported}");
        assert!(!reported.contains("remove the key"), "{reported}");
    }

    #[test]
    fn the_latest_failure_event_explains_the_missing_pod() {
        let event = |reason: &str, message: &str, time: &str| -> Event {
            serde_json::from_value(json!({
                "metadata": {}, "involvedObject": {}, "reason": reason, "message": message, "lastTimestamp": time,
            }))
            .unwrap()
        };
        let events = vec![
            event("FailedCreate", "exceeded quota", "2026-01-01T00:10:00Z"),
            event("RecreatingFailedPod", "other", "2026-01-01T00:12:00Z"),
            event("FailedCreate", "forbidden", "2026-01-01T00:05:00Z"),
            event("ProvisioningFailed", "no class", "2026-01-01T00:04:00Z"),
        ];
        let at = |time: &str| latest(events.clone(), time.parse().unwrap());
        assert_eq!(at("2026-01-01T00:12:00Z").as_deref(), Some("exceeded quota"));
        assert_eq!(at("2026-01-01T01:00:00Z"), None, "an old failure may have passed");
    }
}
