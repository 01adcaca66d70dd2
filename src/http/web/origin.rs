//! What changes something comes from our own pages.

use axum::extract::{Request, State};
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Web;
use super::page::notice;

/// Refuses forms that another site's page, or no page, sends.
pub(super) async fn own(State(web): State<Web>, request: Request, next: Next) -> Response {
    let changes = request.method() == Method::POST;
    if changes && !is_own(request.headers(), web.control.link_base().as_deref()) {
        let what = "This did not come from a page of hallpass, so nothing was done. Open the request again and decide there.";
        return (StatusCode::FORBIDDEN, notice(&web.prefix(), what)).into_response();
    }
    next.run(request).await
}

/// Whether the browser says so. One that says nothing is not believed either.
fn is_own(headers: &HeaderMap, base: Option<&str>) -> bool {
    let text = |name: &str| headers.get(name).and_then(|it| it.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return site == "same-origin";
    }
    let Some(origin) = text(ORIGIN.as_str()) else {
        return false;
    };
    let host = origin.split_once("://").map(|(_, host)| host);
    let is_base = |base: &str| {
        let rest = base.strip_prefix(origin);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    host.is_some_and(|host| text(HOST.as_str()) == Some(host)) || base.is_some_and(is_base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_our_own_pages_send_is_taken() {
        let base = Some("https://hallpass.example.com/db");
        for (site, origin, own) in [
            ("same-origin", "", true),
            ("same-origin", "null", true),
            ("cross-site", "http://127.0.0.1:8432", false),
            ("same-site", "", false),
            ("none", "", false),
            ("", "http://127.0.0.1:8432", true),
            ("", "https://hallpass.example.com", true),
            ("", "https://hallpass.example.co", false),
            ("", "https://evil.example.com", false),
            ("", "null", false),
            ("", "", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, "127.0.0.1:8432".parse().unwrap());
            for (name, value) in [("sec-fetch-site", site), ("origin", origin)] {
                if !value.is_empty() {
                    headers.insert(name, value.parse().unwrap());
                }
            }
            assert_eq!(is_own(&headers, base), own, "{site} {origin}");
        }
    }
}
