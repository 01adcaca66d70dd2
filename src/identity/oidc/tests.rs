//! Tokens that are not what they should be.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::testing::{StandIn, new_key, now, sign};
use super::{OidcError, Vouched};

impl StandIn {
    /// What becomes of a sign-in whose token `make` makes, given the nonce that was asked for.
    async fn sign_in(&self, make: impl FnOnce(&str) -> String) -> Result<Vouched, OidcError> {
        let oidc = self.oidc();
        let begun = oidc.begin_browser("http://127.0.0.1:1/callback").await?;
        let address = reqwest::Url::parse(&begun.address).unwrap();
        let query: BTreeMap<_, _> = address.query_pairs().into_owned().collect();
        assert_eq!(query["code_challenge_method"], "S256");
        assert_eq!(query["response_type"], "code");
        *self.token.lock() = make(&query["nonce"]);
        oidc.finish_browser(begun, "code").await
    }
}

fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

/// Tokens that are signed, and still not to be taken; and some that are not signed as they should.
fn wrong(provider: &StandIn, right: &Value) -> Vec<(&'static str, String)> {
    let signed = |name: &str, value: Value| provider.signed(&with(right.clone(), name, value));
    let good = provider.signed(right);
    let (head, tail) = good.rsplit_once('.').unwrap();
    let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
    let payload = good.split('.').nth(1).unwrap();
    let shared = json!({"alg": "HS256", "kid": "one"});
    let other = json!({"alg": "ES256", "kid": "one"});
    vec![
        ("issuer", signed("iss", json!("https://evil.example.com"))),
        ("audience", signed("aud", json!("another"))),
        (
            "more audiences",
            signed("aud", json!(["hallpass", "another"])),
        ),
        ("expired", signed("exp", json!(now() - 1))),
        ("no algorithm", format!("{none}.{payload}.")),
        ("no algorithm, signed", format!("{none}.{payload}.{tail}")),
        ("a shared secret", sign(&provider.key, &shared, right)),
        ("another key", sign(&new_key(), &other, right)),
        ("no signature", format!("{head}.")),
        ("nothing", String::new()),
    ]
}

#[tokio::test]
async fn a_provider_says_who_it_is_and_with_what() {
    let provider = StandIn::start().await;
    let right = |nonce: &str| provider.signed(&with(provider.claims(), "nonce", json!(nonce)));
    let vouched = provider.sign_in(right).await.unwrap();
    assert_eq!(vouched.name, "zoe");
    assert_eq!(vouched.groups, ["leads"]);
    assert_eq!(vouched.subject, format!("{} 42", provider.issuer));
    assert!(vouched.mfa && vouched.email.is_none());
}

#[tokio::test]
async fn a_token_for_another_sign_in_is_refused() {
    let provider = StandIn::start().await;
    let other = provider
        .sign_in(|_| provider.signed(&with(provider.claims(), "nonce", json!("other"))))
        .await;
    assert!(matches!(other, Err(OidcError::Refused(_))), "{other:?}");
    let none = provider.sign_in(|_| provider.signed(&provider.claims()));
    assert!(matches!(none.await, Err(OidcError::Refused(_))));
}

#[tokio::test]
async fn a_token_that_is_not_the_providers_for_us_now_is_refused() {
    let provider = StandIn::start().await;
    for at in 0..10 {
        let mut what = "";
        let refused = provider
            .sign_in(|nonce| {
                let right = with(provider.claims(), "nonce", json!(nonce));
                let (name, token) = wrong(&provider, &right).swap_remove(at);
                what = name;
                token
            })
            .await;
        assert!(refused.is_err(), "{what}: {refused:?}");
    }
}

#[tokio::test]
async fn a_job_is_taken_by_what_its_token_says_and_by_nothing_less() {
    let provider = StandIn::start().await;
    let (workload, right) = (provider.workload(), provider.claims());
    let token = provider.signed(&right);
    assert!(workload.claims_issuer(&token));
    let claims = workload.verify(&token).await.unwrap();
    assert_eq!(claims.text("sub"), Some("42"));
    for (what, token) in wrong(&provider, &right) {
        assert!(workload.verify(&token).await.is_err(), "{what}");
    }
    let fork = with(right, "repository", json!("acme/api-fork"));
    let refused = workload.verify(&provider.signed(&fork)).await;
    assert!(matches!(refused, Err(OidcError::Refused(_))));
}
