//! A client, and servers for it that answer what a test says.

use axum::Router;

use super::again::Patience;
use super::{Api, Settings};
use crate::secret::Secret;

/// A client of the server at `url`, which does not wait long before it tries again.
pub(in super::super) fn api(url: &str) -> Api {
    // The provider of the whole process: another test may have been first.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let api = Api::new(Settings {
        url: url.into(),
        token: Some((Secret::new("hpt_test"), "HALLPASS_TOKEN".into())),
        ca: None,
    });
    Api {
        patience: Patience::TEST,
        ..api.unwrap()
    }
}

/// The address of a server that answers by `router`.
pub(in super::super) async fn stand_in(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    format!("http://{address}")
}
