//! The schemas that are not derived: a content is one of two fields, and an item has the fields of its content and its
//! head.

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
        // Both fields at once are rejected; utoipa's Object has no field `not`.
        let not_both = Extensions::from_iter([("not", json!({"required": ["content", "content64"]}))]);
        ObjectBuilder::new()
            .description(Some(
                "The body of a message, byte for byte: as a string if it is UTF-8, else as base64.",
            ))
            .property("content", text("The content, if it is UTF-8."))
            .property(
                "content64",
                text("The content in base64 (RFC 4648 section 4, with padding), if it is not UTF-8.")
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
            "A message to send. Its content is in either content or content64.",
        );
        if let RefOr::T(Schema::Object(item)) = &mut item {
            // `oneOf` would be simpler, but many client generators do not make one class of it.
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
        with_content(DeliveredHead::schema(), "A message that was received or peeked at.")
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

/// One object with the fields of a head and a content. utoipa would describe it with `allOf`, of which many client
/// generators cannot make one class.
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

/// Groups of four characters, the last one possibly padded; unused bits before the padding are zero.
const BASE64: &str = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$";
