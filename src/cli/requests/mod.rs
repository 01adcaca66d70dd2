//! `hallpass request`, `requests`, `show`, `approve`, `deny`, `withdraw`.

mod ask;
mod changed;
mod decide;
mod list;
#[cfg(test)]
mod testing;

use std::time::Duration;

pub(super) use ask::{RequestArgs, WithdrawArgs, follow, request, withdraw};
pub(super) use changed::told as as_it_is;
pub(super) use decide::{ApproveArgs, DenyArgs, approve, deny, granted_text};
pub(super) use list::{RequestsArgs, ShowArgs, approval_text, length, list, show, stage};

/// Reads `30m` and the like; zero and bare numbers are refused.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("it must be longer than nothing".into()),
        Ok(duration) => Ok(duration),
        Err(_) => Err("write it like 30m, 1h or \"1h 30m\"".into()),
    }
}

pub(super) fn words(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(duration("30m"), Ok(Duration::from_secs(1800)));
        assert_eq!(duration("1h 30m"), Ok(Duration::from_secs(5400)));
        assert!(duration("30").is_err() && duration("0s").is_err() && duration("-1m").is_err());
    }
}
