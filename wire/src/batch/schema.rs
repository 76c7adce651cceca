//! The schemas that are written by hand: a content is one of two fields, and an item has the fields of its content and of
//! its head.

use std::borrow::Cow;

use serde_json::json;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, Type, extensions::Extensions},
};

use super::{Content, DeliveredHead, DeliveredItem, Item, ItemHead};

impl PartialSchema for Content {
    fn schema() -> RefOr<Schema> {
        let text =
            |description: &str| ObjectBuilder::new().schema_type(Type::String).description(Some(description));
        // Both at once is refused, and utoipa's objects have no `not` of their own.
        let not_both = Extensions::from_iter([("not", json!({"required": ["content", "content64"]}))]);
        ObjectBuilder::new()
            .description(Some(
                "A message's content, byte for byte: as text when it is UTF-8, else as base64.",
            ))
            .property("content", text("The content, when it is UTF-8."))
            .property(
                "content64",
                text("The content in base64 (RFC 4648 section 4, with padding), when it is not UTF-8.")
                    .content_encoding("base64")
                    .pattern(Some(BASE64)),
            )
            .extensions(Some(not_both))
            .into()
    }
}

impl ToSchema for Content {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Content")
    }
}

impl PartialSchema for Item {
    fn schema() -> RefOr<Schema> {
        let mut item = with_content(
            ItemHead::schema(),
            "A message on its way into a channel: its content is in one of content and content64.",
        );
        if let RefOr::T(Schema::Object(item)) = &mut item {
            // `oneOf` would say it more simply, and many client generators make no one class of it.
            let some = json!({"anyOf": [{"required": ["content"]}, {"required": ["content64"]}]});
            let not_one = json!({"anyOf": [{"required": ["content", "content64"]}, {"not": some}]});
            item.extensions = Some(Extensions::from_iter([("not", not_one)]));
        }
        item
    }
}

impl ToSchema for Item {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Item")
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        ItemHead::schemas(schemas);
    }
}

impl PartialSchema for DeliveredItem {
    fn schema() -> RefOr<Schema> {
        with_content(
            DeliveredHead::schema(),
            "A message on its way out of a channel, or one that was looked at.",
        )
    }
}

impl ToSchema for DeliveredItem {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("DeliveredItem")
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        DeliveredHead::schemas(schemas);
    }
}

/// One object with a head's fields and a content's: what utoipa would describe as both at once, which many client
/// generators cannot make one class of.
fn with_content(head: RefOr<Schema>, description: &str) -> RefOr<Schema> {
    let (RefOr::T(Schema::Object(mut item)), RefOr::T(Schema::Object(content))) = (head, Content::schema())
    else {
        unreachable!("structs are described as objects")
    };
    item.description = Some(description.into());
    item.properties.extend(content.properties);
    item.extensions = content.extensions;
    item.into()
}

/// Whole groups of four, the last of which may be padded; bits that the padding leaves over are zero.
const BASE64: &str = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$";
