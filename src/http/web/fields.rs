//! The fields of a form.

use std::collections::HashMap;

use axum::body::{Body, to_bytes};

use super::FORM;

/// The fields that were filled in.
pub(super) struct Fields(HashMap<String, String>);

impl Fields {
    /// Reads a form; what is none has no fields.
    pub(super) async fn read(body: Body) -> Self {
        let bytes = to_bytes(body, FORM).await.unwrap_or_default();
        let pairs = form_urlencoded::parse(&bytes).into_owned();
        Self(pairs.filter(|(_, value)| !value.is_empty()).collect())
    }

    /// What was typed; empty if nothing was.
    pub(super) fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// What was typed, if anything was.
    pub(super) fn given(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(|it| it.trim())
            .filter(|it| !it.is_empty())
    }
}
