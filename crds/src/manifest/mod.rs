//! Channels from YAML files, for a broker without Kubernetes. The parser accepts the same files as `kubectl apply`,
//! refuses them for the same reasons, and names the line of each error.

mod node;
mod schema;

use std::fmt;

use kube::ResourceExt;
use serde_json::Value;
use serde_saphyr::MessageFormatter as _;
use uuid::Uuid;

use self::node::Node;
use crate::{CHANNEL_NAME_BYTES_MAX, GROUP, MessageBroker, MessageChannel, VERSION};

/// The namespace of a manifest without one, as with kubectl.
pub const DEFAULT_NAMESPACE: &str = "default";

/// The namespace (RFC 9562 section 5.5) of the UIDs of channels from manifests. Drawn once at random. It must never
/// change: a channel is its UID, and new UIDs would make every channel of every standalone broker an orphan.
const UID_NAMESPACE: Uuid = Uuid::from_u128(0x8a7f_2c41_5d0e_4b9a_9c36_e1f0_7b52_d84d);

/// Written by some editors at the begin of a UTF-8 file.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// The limit of documents per file: the number of channels of the largest broker.
const DOCUMENTS_MAX: usize = 1_000_000;

/// The limit of names and values per file, which bounds memory: enough for two hundred thousand channels.
const NODES_MAX: usize = 4_000_000;

/// One document of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// The line in the file where the document's content begins, from 1.
    pub line: u64,
    /// The parsed content.
    pub manifest: Manifest,
}

/// The content of a document.
#[derive(Debug, Clone, PartialEq)]
pub enum Manifest {
    /// A valid channel, with namespace, UID and generation filled in, ready for [`crate::compile`].
    Channel(Box<MessageChannel>),
    /// A MessageBroker, which the standalone broker ignores. The string is its `namespace/name`.
    Broker(String),
}

/// An error in a file, and its position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ManifestError {
    /// The line, from 1; 0 when unknown.
    pub line: u64,
    /// The column, from 1; 0 when unknown.
    pub column: u64,
    /// The field, such as `spec.destinations[0]`; empty for the whole document.
    pub field: String,
    /// The error, and its remedy.
    pub message: String,
}

impl fmt::Display for ManifestError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(formatter, "line {}, column {}: ", self.line, self.column)?;
        }
        if !self.field.is_empty() {
            write!(formatter, "{}: ", self.field)?;
        }
        formatter.write_str(&self.message)
    }
}

/// Parses every document of a file. On failure, returns all errors of the file, at least one.
///
/// Documents are separated by `---`; empty ones are skipped. Lines count from the beginning of `text`.
pub fn parse(text: &str) -> Result<Vec<Document>, Vec<ManifestError>> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let options = serde_saphyr::options! {
        // The library's default limits are too small: 1,024 documents.
        budget: serde_saphyr::budget! {
            max_documents: DOCUMENTS_MAX,
            max_nodes: NODES_MAX,
            max_events: 2 * NODES_MAX,
        },
    };
    let nodes: Vec<Node> =
        serde_saphyr::from_multiple_with_options(text, options).map_err(|error| vec![yaml_error(&error)])?;
    let mut documents = Vec::new();
    let mut errors = Vec::new();
    for node in nodes {
        match document(&node) {
            Ok(manifest) => documents.push(Document { line: node.location.0, manifest }),
            Err(found) => errors.extend(found),
        }
    }
    if errors.is_empty() { Ok(documents) } else { Err(errors) }
}

/// The UID of a channel from a manifest: always the same for the same `namespace/name`. After a deletion of the
/// channel, the broker derives the next UID for that name.
pub fn uid(namespace: &str, name: &str) -> Uuid {
    Uuid::new_v5(&UID_NAMESPACE, format!("{namespace}/{name}").as_bytes())
}

fn yaml_error(error: &serde_saphyr::Error) -> ManifestError {
    let location = error.location();
    ManifestError {
        line: location.map_or(0, |location| location.line()),
        column: location.map_or(0, |location| location.column()),
        field: String::new(),
        message: match error.without_snippet() {
            serde_saphyr::Error::DuplicateMappingKey { key: Some(key), .. } => {
                format!("invalid YAML: the key {key} is given more than once")
            }
            error => format!("invalid YAML: {}", serde_saphyr::UserMessageFormatter.format_message(error)),
        },
    }
}

fn document(node: &Node) -> Result<Manifest, Vec<ManifestError>> {
    let value = node.value();
    let error = |path: &[&str], message: String| vec![node.error(path, message)];
    let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    if !value.is_object() {
        return Err(error(&[], "the document is not a mapping; write the fields of a MessageChannel".into()));
    }
    if value.get("apiVersion").is_none() {
        return Err(error(&["apiVersion"], format!("is missing; write {GROUP}/{VERSION}")));
    }
    if api_version != format!("{GROUP}/{VERSION}") {
        return Err(error(&["apiVersion"], format!("must be {GROUP}/{VERSION}, but is {api_version:?}")));
    }
    if value.get("kind").is_none() {
        return Err(error(&["kind"], "is missing; write MessageChannel".into()));
    }
    match kind {
        "MessageChannel" => channel(node, value).map(|channel| Manifest::Channel(Box::new(channel))),
        "MessageBroker" => {
            let broker: MessageBroker = schema::check(&schema::BROKER, node, value)?;
            let namespace = broker.namespace().unwrap_or_else(|| DEFAULT_NAMESPACE.into());
            Ok(Manifest::Broker(format!("{namespace}/{}", broker.name_any())))
        }
        other => Err(error(
            &["kind"],
            format!("unknown kind {other:?}; the broker reads MessageChannel, and ignores MessageBroker"),
        )),
    }
}

fn channel(node: &Node, value: Value) -> Result<MessageChannel, Vec<ManifestError>> {
    // Before the schema, whose rule for names knows no line.
    for field in ["name", "namespace"] {
        let label = value.get("metadata").and_then(|metadata| metadata.get(field)).and_then(Value::as_str);
        if let Some(label) = label.filter(|label| !is_dns_label(label)) {
            return Err(vec![node.error(
                &["metadata", field],
                format!(
                    "{label:?} must be one DNS label: 1 to {CHANNEL_NAME_BYTES_MAX} lower-case letters, digits and \
                     hyphens, beginning and ending with a letter or digit"
                ),
            )]);
        }
    }
    let mut channel: MessageChannel = schema::check(&schema::CHANNEL, node, value)?;
    let name = channel.name_any();
    let namespace = channel.namespace().unwrap_or_else(|| DEFAULT_NAMESPACE.into());
    let metadata = &mut channel.metadata;
    metadata.uid = Some(uid(&namespace, &name).to_string());
    metadata.namespace = Some(namespace);
    // Values from an API server are reset: the age of a channel in another cluster must not decide a conflict here, and
    // a deletion there must not close the channel here.
    metadata.generation = Some(1);
    metadata.creation_timestamp = None;
    metadata.deletion_timestamp = None;
    channel.status = None;
    Ok(channel)
}

/// Whether a text is an RFC 1123 label.
fn is_dns_label(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.len() <= CHANNEL_NAME_BYTES_MAX
        && bytes.first().copied().is_some_and(allowed)
        && bytes.last().copied().is_some_and(allowed)
        && bytes.iter().all(|&byte| allowed(byte) || byte == b'-')
}

#[cfg(test)]
mod sweep;
#[cfg(test)]
mod tests;
