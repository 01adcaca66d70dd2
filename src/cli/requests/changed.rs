//! A request that is not as it was when somebody looked at it and decided.

use jiff::Timestamp;

use super::super::api::Api;
use super::super::error::CliError;
use super::list::{approval_text, decided_text, waits_for};
use crate::access::{RequestId, RequestState};
use crate::clock::Clock;
use crate::http::types::RequestView;

/// The same error; if it is that the request has changed, with what it is now.
pub(in super::super) async fn told(error: CliError, api: &Api, id: RequestId) -> CliError {
    if !matches!(&error, CliError::Problem(problem) if problem.code == "changed") {
        return error;
    }
    match api.request(id).await {
        Ok(request) => CliError::Changed {
            how: how(&request, Clock::system().now()),
            request: Box::new(request),
        },
        Err(_) => error,
    }
}

/// What happened to it last.
fn how(request: &RequestView, now: Timestamp) -> String {
    if request.state != RequestState::Pending {
        return format!("it is {}", decided_text(request, now));
    }
    let last = request.approvals.last();
    let last = last.map(|it| format!("approved {}. ", approval_text(it, now)));
    format!("{}{}", last.unwrap_or_default(), waits_for(request))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{at, view};
    use super::*;
    use crate::access::Approval;

    #[test]
    fn what_somebody_else_did_meanwhile_is_told() {
        let mut request = view(RequestState::Pending);
        request.approvals = vec![Approval {
            by: "lee".parse().unwrap(),
            on_behalf_of: None,
            stage: 1,
            at: at(60),
            seconds: None,
        }];
        let text = how(&request, at(180));
        assert!(text.contains("approved 2m ago by lee"), "{text}");
        request.state = RequestState::Denied {
            by: "lee".parse().unwrap(),
            on_behalf_of: None,
            at: at(120),
            reason: "not\x1b[2J today".into(),
        };
        let text = how(&request, at(180));
        assert!(text.starts_with("it is denied, 1m ago by lee"), "{text}");
        assert!(!text.contains('\x1b'), "{text:?}");
    }
}
