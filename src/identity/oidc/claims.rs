//! What a verified token says.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::OidcError;

/// The claims of a token whose signature, issuer, audience and times have been checked.
#[derive(Debug, Clone, Default)]
pub struct Claims(Map<String, Value>);

impl Claims {
    /// Those of a token in its compact form, which whoever calls has verified.
    pub(super) fn of_verified(token: &str) -> Result<Self, OidcError> {
        let unreadable = || OidcError::Claims("cannot be read".to_owned());
        let payload = token.split('.').nth(1).ok_or_else(unreadable)?;
        let json = URL_SAFE_NO_PAD.decode(payload).map_err(|_| unreadable())?;
        let claims = serde_json::from_slice(&json).map_err(|_| unreadable())?;
        Ok(Self(claims))
    }

    /// A claim that is text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// A claim that is a list of texts, or one of them.
    pub fn texts(&self, name: &str) -> Vec<&str> {
        match self.0.get(name) {
            Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(text)) => vec![text],
            _ => Vec::new(),
        }
    }

    /// A claim that is true.
    pub(super) fn is_true(&self, name: &str) -> bool {
        match self.0.get(name) {
            Some(Value::Bool(it)) => *it,
            // Some providers write it so.
            Some(Value::String(text)) => text == "true",
            _ => false,
        }
    }

    /// The e-mail address, if the provider says that it is theirs.
    pub(super) fn email(&self) -> Option<&str> {
        self.text("email")
            .filter(|_| self.is_true("email_verified"))
    }

    /// Whether a claim is, or has among its items, exactly this.
    pub(super) fn has(&self, name: &str, expected: &str) -> bool {
        match self.0.get(name) {
            Some(Value::Bool(it)) => it.to_string() == expected,
            Some(Value::Number(it)) => it.to_string() == expected,
            _ => self.texts(name).contains(&expected),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims(json: &Value) -> Claims {
        Claims(json.as_object().unwrap().clone())
    }

    #[test]
    fn claims_are_compared_whole() {
        let claims = claims(&json!({
            "repository": "acme/api", "ref_protected": true, "run": 7, "aud": ["a", "b"],
            "email": "m@example.com", "email_verified": false
        }));
        assert!(claims.has("repository", "acme/api"));
        assert!(!claims.has("repository", "acme/api2") && !claims.has("repository", "acme"));
        assert!(claims.has("ref_protected", "true") && claims.has("run", "7"));
        assert!(claims.has("aud", "b") && !claims.has("missing", ""));
        assert_eq!(claims.email(), None, "anybody could write that");
        assert_eq!(claims.texts("missing"), Vec::<&str>::new());
    }
}
