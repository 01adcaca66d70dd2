//! A provider that says whatever it is told to.

use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{Oidc, OidcSettings, Workload, WorkloadSettings};
use crate::clock::Clock;

/// A provider, and the token that it gives for any code.
pub(crate) struct StandIn {
    pub(crate) issuer: String,
    pub(super) key: EcdsaKeyPair,
    pub(crate) token: Arc<Mutex<String>>,
}

pub(super) fn new_key() -> EcdsaKeyPair {
    EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()
}

fn jwk(key: &EcdsaKeyPair) -> Value {
    let point = key.public_key().as_ref();
    let part = |from: usize| URL_SAFE_NO_PAD.encode(&point[from..from + 32]);
    json!({"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "one",
           "x": part(1), "y": part(33)})
}

pub(super) fn sign(key: &EcdsaKeyPair, header: &Value, claims: &Value) -> String {
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let text = format!("{}.{}", part(header), part(claims));
    let signature = key.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

pub(super) fn now() -> i64 {
    Clock::system().now().as_second()
}

impl StandIn {
    pub(crate) async fn start() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let key = new_key();
        let token = Arc::new(Mutex::new(String::new()));
        let metadata = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/auth"),
            "token_endpoint": format!("{issuer}/token"),
            "jwks_uri": format!("{issuer}/jwks"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256", "HS256", "none"],
        });
        let keys = json!({"keys": [jwk(&key)]});
        let given = Arc::clone(&token);
        let answer = move || async move {
            let token = given.lock().clone();
            Json(json!({"access_token": "x", "token_type": "Bearer", "id_token": token}))
        };
        let router = Router::new()
            .route(
                "/.well-known/openid-configuration",
                get(move || async move { Json(metadata) }),
            )
            .route("/jwks", get(move || async move { Json(keys) }))
            .route("/token", post(answer));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { issuer, key, token }
    }

    pub(crate) fn claims(&self) -> Value {
        json!({"iss": self.issuer, "aud": "hallpass", "sub": "42", "iat": now(),
               "exp": now() + 60, "preferred_username": "zoe", "groups": ["leads"],
               "amr": ["pwd", "mfa"], "repository": "acme/api"})
    }

    pub(crate) fn signed(&self, claims: &Value) -> String {
        let header = json!({"alg": "ES256", "kid": "one", "typ": "JWT"});
        sign(&self.key, &header, claims)
    }

    pub(crate) fn oidc(&self) -> Oidc {
        let settings = OidcSettings {
            issuer: self.issuer.clone(),
            client_id: "hallpass".into(),
            client_secret: None,
            scopes: vec!["profile".into()],
            name_claim: None,
            groups_claim: "groups".into(),
            mfa_acr: Vec::new(),
            mfa_amr: vec!["mfa".into()],
            ca: None,
        };
        Oidc::new(settings).unwrap()
    }

    pub(crate) fn workload(&self) -> Workload {
        let settings = WorkloadSettings {
            issuer: self.issuer.clone(),
            audience: "hallpass".into(),
            claims: [("repository".to_owned(), "acme/api".to_owned())].into(),
            ca: None,
        };
        Workload::new(settings).unwrap()
    }
}
