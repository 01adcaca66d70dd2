//! How values are written, where serde alone does not say it.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
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

/// A whole number, also if it is written like `2.0`: JSON Schema's `integer` is that, too.
pub(super) fn whole<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    let Some(number) = Option::<f64>::deserialize(from)? else {
        return Ok(None);
    };
    let is_whole = number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number);
    match is_whole {
        true => Ok(Some(number as u32)),
        false => Err(D::Error::custom("expected a whole number")),
    }
}
