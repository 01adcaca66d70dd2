//! What is written as text.

use utoipa::openapi::schema::AnyOfBuilder;
use utoipa::openapi::{KnownFormat, ObjectBuilder, RefOr, Schema, SchemaFormat, Type};

use crate::access::schema::written;

/// A duration like `30m` or `1h 30m`.
pub struct DurationText;

written!(
    DurationText,
    "^[0-9]{1,6}[smhd]( ?[0-9]{1,6}[smhd]){0,3}$",
    "1h 30m"
);

/// An IP address.
pub struct AddressText;

impl utoipa::PartialSchema for AddressText {
    fn schema() -> RefOr<Schema> {
        let form = |format| {
            let text = ObjectBuilder::new().schema_type(Type::String);
            text.format(Some(SchemaFormat::KnownFormat(format)))
        };
        let either = AnyOfBuilder::new().item(form(KnownFormat::Ipv4));
        let either = either.item(form(KnownFormat::Ipv6)).build();
        RefOr::T(Schema::AnyOf(either))
    }
}

impl utoipa::ToSchema for AddressText {}
