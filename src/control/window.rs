//! Lists, a part at a time.

use super::Page;
use crate::store::{Place, Window};

/// Items of one part at most.
pub(super) const LIST: u32 = 500;

/// The window to look through, to see by one item more whether there is more.
pub(super) fn ajar(window: &Window) -> Window {
    Window {
        after: window.after.clone(),
        limit: Some(limit(window) + 1),
    }
}

fn limit(window: &Window) -> u32 {
    window.limit.unwrap_or(LIST).min(LIST)
}

/// What was seen by an [`ajar`] window.
pub(super) fn page<T>(mut items: Vec<T>, window: &Window) -> Page<T> {
    let limit = limit(window) as usize;
    let more = items.len() > limit;
    items.truncate(limit);
    Page { items, more }
}

/// What has a place in a list.
pub trait Placed {
    /// The place.
    fn place(&self) -> Place;
}

macro_rules! placed {
    ($name:ty, |$it:ident| $value:expr, $at:ident, $id:ident) => {
        impl Placed for $name {
            fn place(&self) -> Place {
                let $it = self;
                Place {
                    at: $value.$at.as_microsecond(),
                    id: $value.$id.to_string(),
                }
            }
        }
    };
}

placed!(super::RequestStatus, |it| it.request, created_at, id);
placed!(super::SessionStatus, |it| it.session, starts_at, id);
placed!(crate::access::Review, |it| it, opened_at, session);
placed!(crate::access::ApiToken, |it| it, created_at, id);
