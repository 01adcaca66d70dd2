//! What all pages look like.

use std::time::Duration;

use axum::response::{Html, IntoResponse, Response};
use jiff::Timestamp;
use maud::{DOCTYPE, Markup, html};

use super::visitor::Visitor;
use crate::control::inert;
use crate::http::problem::Rejection;

/// A whole page; `visitor` is who has signed in.
pub(super) fn page(
    prefix: &str,
    title: &str,
    visitor: Option<&Visitor>,
    body: &Markup,
) -> Html<String> {
    let whole = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (inert(title)) " · hallpass" }
                link rel="stylesheet" href={ (prefix) "/style.css" };
            }
            body {
                header {
                    a href={ (prefix) "/" } { "hallpass" }
                    @if let Some(visitor) = visitor {
                        form method="post" action={ (prefix) "/sign-out" } {
                            (mark(visitor))
                            span { (visitor.caller.name.as_str()) }
                            button.quiet { "Sign out" }
                        }
                    }
                }
                main { (body) }
            }
        }
    };
    Html(whole.into_string())
}

/// A page that says one thing.
pub(super) fn notice(prefix: &str, what: &str) -> Html<String> {
    let body = html! {
        p.bad role="alert" { (theirs(what)) }
        p { a href={ (prefix) "/" } { "What waits for you" } }
    };
    page(prefix, "hallpass", None, &body)
}

/// A page that says why nothing was done.
pub(super) fn refused(prefix: &str, why: &Rejection) -> Response {
    (why.status(), notice(prefix, &sentence(why.detail()))).into_response()
}

/// The field that a form is known by.
pub(super) fn mark(visitor: &Visitor) -> Markup {
    html! { input type="hidden" name="mark" value=(visitor.mark()); }
}

/// What somebody wrote: escaped by the page, and without what turns text around or hides in it.
pub(super) fn theirs(text: &str) -> Markup {
    html! { bdi { (inert(text)) } }
}

/// A sentence of a clause.
pub(super) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(char::to_uppercase);
    let whole: String = first.into_iter().flatten().chain(letters).collect();
    match whole.ends_with(['.', '?', '!']) {
        true => whole,
        false => whole + ".",
    }
}

/// A moment, from now and by the clock; whose clock it is, the page cannot know.
pub(super) fn when(now: Timestamp, at: Timestamp) -> Markup {
    let far = at.duration_since(now);
    let near = rough(far.unsigned_abs());
    html! {
        time datetime=(at.to_string()) {
            @if far.is_positive() { "in " (near) } @else { (near) " ago" }
        }
        " " span.dim { (at.strftime("%Y-%m-%d %H:%M UTC").to_string()) }
    }
}

/// The two largest units.
fn rough(long: Duration) -> String {
    let seconds = long.as_secs() + u64::from(long.subsec_millis() >= 500);
    let unit = match seconds {
        0..600 => 1,
        600..86_400 => 60,
        _ => 3600,
    };
    humantime::format_duration(Duration::from_secs(seconds - seconds % unit)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_wrote_is_neither_markup_nor_a_trick() {
        let shown = theirs("<script>\u{202e}\u{1b}[2J\" onload='x'").into_string();
        assert_eq!(
            shown,
            "<bdi>&lt;script&gt;\u{fffd}\u{fffd}[2J&quot; onload='x'</bdi>"
        );
    }

    #[test]
    fn times_are_rough() {
        let rough = |seconds| rough(Duration::from_secs(seconds));
        assert_eq!(rough(95), "1m 35s");
        assert_eq!(rough(3725), "1h 2m");
        assert_eq!(rough(2 * 86_400 + 3700), "2days 1h");
    }
}
