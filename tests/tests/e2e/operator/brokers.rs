//! Helpers of the tests of MessageBrokers.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use restante_tests::wait;
use serde_json::{Value, json};

use super::{
    objects::{condition, condition_is},
    process::{Operator, SOON},
};

impl Operator {
    /// An object in the operator's namespace, such as `service/restante-main`.
    pub(crate) fn get(&self, object: &str) -> Result<Value> {
        self.kubectl().json(&["-n", &self.namespace, "get", object])
    }

    /// Polls an object in the operator's namespace until the probe succeeds.
    pub(crate) fn until<T>(
        &self,
        what: &str,
        object: &str,
        probe: impl FnMut(&Value) -> Result<T>,
    ) -> Result<T> {
        let result = self.kubectl().until(what, SOON, &["-n", &self.namespace, "get", object], probe);
        result.with_context(|| format!("the operator's log is\n{}", self.log()))
    }

    /// Runs `kubectl` in the operator's namespace.
    pub(crate) fn run(&self, words: &[&str]) -> Result<String> {
        self.kubectl().run(&[&["-n", self.namespace.as_str()], words].concat())
    }

    /// Merge-patches an object in the operator's namespace.
    pub(crate) fn patch(&self, object: &str, patch: &Value) -> Result<()> {
        self.run(&["patch", object, "--type=merge", "-p", &patch.to_string()]).map(drop)
    }

    /// Applies a manifest in the operator's namespace.
    pub(crate) fn apply(&self, manifest: &Value) -> Result<()> {
        let mut manifest = manifest.clone();
        manifest["metadata"]["namespace"] = json!(self.namespace);
        self.kubectl().apply(&manifest.to_string()).map(drop)
    }

    /// Waits until a condition of a MessageBroker has this status and reason for the last edit, and returns its
    /// message.
    pub(crate) fn until_condition(
        &self,
        broker: &str,
        kind: &str,
        status: &str,
        reason: &str,
    ) -> Result<String> {
        self.until(
            &format!("{kind} to be {status}, {reason}"),
            &format!("messagebroker/{broker}"),
            |object| {
                ensure!(
                    condition(object, kind)?["observedGeneration"] == object["metadata"]["generation"],
                    "the condition is older than the last edit: {}",
                    object["status"]
                );
                condition_is(object, kind, status, reason).map(str::to_owned)
            },
        )
    }

    /// Waits with `kubectl wait` until a MessageBroker is Ready.
    pub(crate) fn until_ready(&self, broker: &str) -> Result<()> {
        let broker = format!("messagebroker/{broker}");
        let waited = self.kubectl().wait_for("condition=Ready", SOON, &["-n", &self.namespace, &broker]);
        waited.with_context(|| format!("the operator's log is\n{}", self.log()))
    }

    /// Waits until an object is deleted.
    pub(crate) fn until_gone(&self, object: &str) -> Result<()> {
        wait::until(&format!("{object} to be deleted"), SOON, || {
            let there = self.run(&["get", object, "--ignore-not-found", "-o", "name"])?;
            ensure!(there.is_empty(), "{there}");
            Ok(())
        })
    }

    /// Waits for an event about an object, and returns its message.
    pub(crate) fn until_event(&self, object: &str, reason: &str) -> Result<String> {
        let selector = format!("--field-selector=involvedObject.name={object},reason={reason}");
        let what = format!("event {reason} of {object}");
        let words = ["-n", &self.namespace, "get", "events", &selector];
        self.kubectl().until(&what, SOON, &words, |events| {
            let event = events["items"].get(0).context("there is none")?;
            Ok(event["message"].as_str().unwrap_or_default().to_owned())
        })
    }

    /// Waits until the events of a reason in the operator's namespace have this number of different messages.
    pub(crate) fn until_notes(&self, reason: &str, count: usize) -> Result<BTreeSet<String>> {
        let selector = format!("--field-selector=reason={reason}");
        let words = ["-n", &self.namespace, "get", "events", &selector];
        self.kubectl().until(&format!("{count} events {reason}"), SOON, &words, |events| {
            let events = events["items"].as_array().context("there is no list")?;
            let notes = events.iter().filter_map(|event| event["message"].as_str().map(str::to_owned));
            let notes: BTreeSet<_> = notes.collect();
            ensure!(notes.len() == count, "there are {notes:?}");
            Ok(notes)
        })
    }
}

/// The owner reference of an object's controller.
pub(crate) fn controller(object: &Value) -> Option<&Value> {
    object["metadata"]["ownerReferences"].as_array()?.iter().find(|owner| owner["controller"] == true)
}
