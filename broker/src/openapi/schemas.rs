//! Schemas of single values: parameters and headers.

use restante_wire::header::{GROUP_CHARACTERS_MAX, KEY_CHARACTERS_MAX};
use serde_json::Value;
use utoipa::openapi::{KnownFormat, Object, ObjectBuilder, SchemaFormat, Type};

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
    at_least(0.0)
}

/// A whole number, and not nothing.
pub(super) fn at_least_one() -> Object {
    at_least(1.0)
}

/// Where a look goes on: a version and a sequence, in base64 without padding.
pub(super) fn cursor() -> Object {
    visible(12, r"^AQ[-_a-zA-Z0-9]{10}$")
}

fn at_least(min: f64) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .minimum(Some(min))
        .build()
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
