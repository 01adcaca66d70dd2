//! What people in a session are told of its end.

use jiff::Timestamp;
use tokio::time::Instant;

use super::Proxy;
use crate::admission::Permit;
use crate::pg::Notice;

/// What is to be said before the session's end, the next one last.
pub(super) fn notices<D>(proxy: &Proxy<D>, permit: &Permit) -> Vec<(Instant, Notice)> {
    let connection = permit.connection();
    let mut notices: Vec<_> = proxy
        .settings
        .notices
        .iter()
        .filter_map(|before| {
            let at = permit.deadline().checked_sub(*before)?;
            let left = humantime::format_duration(*before);
            let notice = Notice {
                message: format!("hallpass: session {} ends in {left}", connection.session),
                detail: None,
                hint: Some(format!(
                    "For more time: hallpass extend {} --for 30m --reason \"..\"",
                    connection.session
                )),
            };
            (at > Instant::now()).then_some((at, notice))
        })
        .collect();
    notices.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    notices
}

/// That the session goes on for longer, and what is to be said before its new end.
pub(super) fn fresh_notices<D>(proxy: &Proxy<D>, permit: &Permit) -> Vec<(Instant, Notice)> {
    let until = Timestamp::from_second(permit.expires_at().as_second()).unwrap_or_default();
    let session = permit.connection().session;
    let mut notices = notices(proxy, permit);
    notices.push((
        Instant::now(),
        Notice {
            message: format!("hallpass: session {session} goes on until {until}"),
            detail: None,
            hint: None,
        },
    ));
    notices
}
