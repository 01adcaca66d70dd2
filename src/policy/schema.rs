//! The schema that policies are validated against, and the names of its types.

use std::sync::LazyLock;

use cedar_policy::{EntityId, EntityTypeName, EntityUid, Schema};

use super::Action;

const TEXT: &str = include_str!("schema.cedarschema");

pub(super) static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let (schema, _) = Schema::from_cedarschema_str(TEXT).expect("the embedded schema is a schema");
    schema
});

/// A type of the schema.
#[derive(Debug, Clone, Copy)]
pub(super) enum Type {
    Action,
    Group,
    Hallpass,
    Owners,
    Principal,
    Target,
}

static NAMES: LazyLock<[EntityTypeName; 6]> = LazyLock::new(|| {
    [
        "Action",
        "Group",
        "Hallpass",
        "Owners",
        "Principal",
        "Target",
    ]
    .map(|name| name.parse().expect("a plain name is a type's name"))
});

impl Type {
    /// The thing of this type that is called `name`.
    pub(super) fn named(self, name: &str) -> EntityUid {
        EntityUid::from_type_name_and_id(self.type_name().clone(), EntityId::new(name))
    }

    pub(super) fn type_name(self) -> &'static EntityTypeName {
        &NAMES[self as usize]
    }
}

/// The action, as policies name it.
pub(super) fn action(action: Action) -> EntityUid {
    Type::Action.named(action.name())
}

/// hallpass as a whole.
pub(super) fn hallpass() -> EntityUid {
    Type::Hallpass.named("hallpass")
}
