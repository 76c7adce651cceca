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

/// Any text.
pub(super) fn text() -> Object {
    ObjectBuilder::new().schema_type(Type::String).build()
}

/// Bytes, whatever they are.
pub(super) fn bytes() -> Object {
    formatted(KnownFormat::Binary)
}

/// A moment, RFC 3339.
pub(super) fn moment() -> Object {
    formatted(KnownFormat::DateTime)
}

/// A UUID.
pub(super) fn uuid() -> Object {
    formatted(KnownFormat::Uuid)
}

/// A whole number from `min` to `max`.
pub(super) fn whole(min: u32, max: u32) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .minimum(Some(f64::from(min)))
        .maximum(Some(f64::from(max)))
        .build()
}

/// A whole number.
pub(super) fn count() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .minimum(Some(0.0))
        .build()
}

/// Seconds that the broker lowers to what the channel allows: a number of any size is taken.
pub(super) fn lowered_seconds(min: u32) -> Object {
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(f64::from(min))).build()
}

/// Leases, separated by commas, at least one: tokens, or what Location said.
pub(super) fn leases() -> Object {
    let pattern = r"^[ \t]*(,[ \t]*)*[!-+\--~]{1,1024}[ \t]*(,[ \t]*([!-+\--~]{1,1024})?[ \t]*)*$";
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern)).build()
}

/// A Server-Sent Event with a message. OpenAPI 3.1 has no field for the events of a stream, and tools take the schema of
/// the media type for that of each event; 3.2 calls it `itemSchema`.
pub(super) fn event() -> Object {
    let item = Ref::from_schema_name(DeliveredItem::name());
    // utoipa's objects have no such field.
    let item = Extensions::from_iter([("contentSchema", json!(item))]);
    ObjectBuilder::new()
        .description(Some("One of the stream's events: a message."))
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

/// Where a look goes on: a version and a sequence, in base64 without padding.
pub(super) fn cursor() -> Object {
    visible(12, r"^AQ[-_a-zA-Z0-9]{10}$")
}

/// True or false.
pub(super) fn flag() -> Object {
    ObjectBuilder::new().schema_type(Type::Boolean).build()
}

/// One of some words.
pub(super) fn one_of(words: &[&str]) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(words.iter().copied().map(Value::from)))
        .build()
}

/// An idempotency key or attempt id, bare: of visible ASCII, and without the quote that would make it a structured field.
pub(super) fn key() -> Object {
    visible(KEY_CHARACTERS_MAX, r"^[!#-~][!-~]*$")
}

/// A group of messages, bare as well.
pub(super) fn group() -> Object {
    visible(GROUP_CHARACTERS_MAX, r"^[!#-~][!-~]*$")
}

/// A reason: printable ASCII.
pub(super) fn reason() -> Object {
    visible(KEY_CHARACTERS_MAX, r"^[ -~]+$")
}

/// A segment of an address.
pub(super) fn address_segment(characters_max: usize) -> Object {
    visible(characters_max, r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
}

/// What the broker made and the client hands back as it is.
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
