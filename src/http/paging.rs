//! Lists, a page at a time: `?limit=..&cursor=..`, and a `Link` to the next.

use axum::Json;
use axum::http::header::LINK;
use axum::http::{HeaderValue, Uri};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use super::problem::Rejection;
use crate::access::schema::written;
use crate::control::{Page, Place, Placed, Window};

/// Items of a page, if nothing is said.
const LIMIT: u32 = 100;
/// Items of a page at most.
const MAX_LIMIT: u32 = 500;

/// The part of a list that a query asks for.
pub(super) fn window(limit: Option<u32>, cursor: Option<&str>) -> Result<Window, Rejection> {
    let limit = limit.unwrap_or(LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        let problem = format!("the limit is from 1 to {MAX_LIMIT}");
        return Err(Rejection::invalid(problem));
    }
    let place = |cursor| {
        let unknown = "the cursor is none: follow the Link of the page before";
        place(cursor).ok_or_else(|| Rejection::unprocessable(unknown))
    };
    Ok(Window {
        after: cursor.map(place).transpose()?,
        limit: Some(limit),
    })
}

/// A page, and where the next is.
pub(super) struct Paged<T> {
    items: Vec<T>,
    next: Option<HeaderValue>,
}

impl<T> Paged<T> {
    /// The page that was asked for by `uri`.
    pub(super) fn of<S: Placed>(page: Page<S>, uri: &Uri, view: impl Fn(S) -> T) -> Self {
        let last = page.items.last().filter(|_| page.more);
        let next = last.map(|last| link(uri, &cursor(&last.place())));
        Self {
            items: page.items.into_iter().map(view).collect(),
            next: next.and_then(|link| HeaderValue::try_from(link).ok()),
        }
    }
}

impl<T: Serialize> IntoResponse for Paged<T> {
    fn into_response(self) -> Response {
        let mut response = Json(self.items).into_response();
        if let Some(next) = self.next {
            response.headers_mut().insert(LINK, next);
        }
        response
    }
}

/// The same query, from there on.
fn link(uri: &Uri, cursor: &str) -> String {
    let asked = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(asked.filter(|(key, _)| key != "cursor"))
        .append_pair("cursor", cursor)
        .finish();
    // The router has taken the beginning of the path away.
    format!("</api/v1{}?{query}>; rel=\"next\"", uri.path())
}

fn cursor(place: &Place) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}:{}", place.at, place.id))
}

fn place(cursor: &str) -> Option<Place> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    let (at, id) = text.split_once(':')?;
    Some(Place {
        at: at.parse().ok()?,
        id: id.to_owned(),
    })
}

/// Where a page begins: what the page before links to.
pub(super) struct CursorText;

written!(
    CursorText,
    "^[A-Za-z0-9_-]{1,64}$",
    "MTpyZXEtNG0wdDh6MWtxYzdl"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_the_place_that_it_was_made_of_and_nothing_else_is_one() {
        let there = Place {
            at: -5,
            id: "req-4m0t8z1kqc7e".to_owned(),
        };
        assert_eq!(place(&cursor(&there)), Some(there));
        for wrong in ["", "x", "!", "eDp5", "OjE"] {
            assert_eq!(place(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_next_page_is_asked_for_like_this_one() {
        let uri: Uri = "/requests?state=all&cursor=old&limit=2".parse().unwrap();
        let expected = "</api/v1/requests?state=all&limit=2&cursor=new>; rel=\"next\"";
        assert_eq!(link(&uri, "new"), expected);
    }
}
