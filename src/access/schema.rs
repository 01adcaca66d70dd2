//! What the API's document says of values that are written as text.

use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};

/// A string that looks like `pattern`, a regular expression.
pub(crate) fn text(pattern: &str, example: &str) -> RefOr<Schema> {
    let text = ObjectBuilder::new().schema_type(Type::String);
    let text = text.pattern(Some(pattern)).examples([example]);
    text.build().into()
}

/// Says what a type looks like that serde writes as text.
macro_rules! written {
    ($name:ty, $pattern:expr, $example:expr) => {
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                $crate::access::schema::text($pattern, $example)
            }
        }

        impl utoipa::ToSchema for $name {}
    };
}

pub(crate) use written;
