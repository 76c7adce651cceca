//! Schemas of single values: parameters and headers.

use restante_wire::{
    batch::DeliveredItem,
    header::{GROUP_CHARACTERS_MAX, KEY_CHARACTERS_MAX},
};
use serde_json::{Value, json};
use utoipa::{
    ToSchema as _,
    openapi::{KnownFormat, Object, ObjectBuilder, Ref, SchemaFormat, Type, extensions::Extensions},
};

pub(super) fn text() -> Object {
    ObjectBuilder::new().schema_type(Type::String).build()
}

pub(super) fn bytes() -> Object {
    formatted(KnownFormat::Binary)
}

/// A time, RFC 3339.
pub(super) fn moment() -> Object {
    formatted(KnownFormat::DateTime)
}

pub(super) fn uuid() -> Object {
    formatted(KnownFormat::Uuid)
}

/// A whole number from `min` to `max`.
pub(super) fn whole_number(min: u32, max: u32) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .minimum(Some(f64::from(min)))
        .maximum(Some(f64::from(max)))
        .build()
}

/// A whole number from 0.
pub(super) fn count() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .minimum(Some(0.0))
        .build()
}

/// Seconds without a maximum: the broker lowers them to what the channel allows.
pub(super) fn lowered_seconds(min: u32) -> Object {
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(f64::from(min))).build()
}

/// At least one lease, separated by commas: tokens, or values of Location.
pub(super) fn leases() -> Object {
    let pattern = r"^[ \t]*(,[ \t]*)*[!-+\--~]{1,1024}[ \t]*(,[ \t]*([!-+\--~]{1,1024})?[ \t]*)*$";
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern)).build()
}

/// A Server-Sent Event with a message. OpenAPI 3.1 has no field for the events of a stream, and tools use the schema of
/// the media type for each event; OpenAPI 3.2 has `itemSchema`.
pub(super) fn event() -> Object {
    let item = Ref::from_schema_name(DeliveredItem::name());
    // utoipa's Object has no field `contentSchema`.
    let item = Extensions::from_iter([("contentSchema", json!(item))]);
    ObjectBuilder::new()
        .description(Some("One event of the stream: a message."))
        .property("id", described("The Message-Id."))
        .property(
            "data",
            described("The message, as JSON.").content_media_type("application/json").extensions(Some(item)),
        )
        .required("id")
        .required("data")
        .build()
}

fn described(description: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).description(Some(description))
}

/// A cursor of a peek: a version and a sequence, in base64 without padding.
pub(super) fn cursor() -> Object {
    visible(12, r"^AQ[-_a-zA-Z0-9]{10}$")
}

pub(super) fn flag() -> Object {
    ObjectBuilder::new().schema_type(Type::Boolean).build()
}

/// One of these values.
pub(super) fn one_of(words: &[&str]) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(words.iter().copied().map(Value::from)))
        .build()
}

/// An idempotency key or attempt id without quotes: visible ASCII, and no quote at the start, which would make it a
/// structured field.
pub(super) fn key() -> Object {
    visible(KEY_CHARACTERS_MAX, r"^[!#-~][!-~]*$")
}

/// A message group without quotes.
pub(super) fn group() -> Object {
    visible(GROUP_CHARACTERS_MAX, r"^[!#-~][!-~]*$")
}

/// The reason of a rejection: printable ASCII.
pub(super) fn reason() -> Object {
    visible(KEY_CHARACTERS_MAX, r"^[ -~]+$")
}

pub(super) fn address_segment(characters_max: usize) -> Object {
    visible(characters_max, r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
}

/// A token that the broker issued and the client returns unchanged.
pub(super) fn token() -> Object {
    visible(256, r"^[-_a-zA-Z0-9]+$")
}

fn visible(characters_max: usize, pattern: &str) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(characters_max))
        .pattern(Some(pattern))
        .build()
}

fn formatted(format: KnownFormat) -> Object {
    ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(format))).build()
}
