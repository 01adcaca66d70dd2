//! What a target demands of those who ask for it, and of those who decide.

use std::time::Duration;

use regex::Regex;

use super::Stage;

/// The longest that extensions may add, if the target says nothing else.
const MAX_EXTENSION: Duration = Duration::from_secs(4 * 3600);

/// What a target demands of those who ask for it, and of those who decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// The stages of an approval, one after the other; none: one approval, by anybody whom the
    /// policy lets.
    pub stages: Vec<Stage>,
    /// What a reason must look like; `None`: anything.
    pub reason: Option<ReasonRule>,
    /// Whether the ticket that the reason names is looked up before a request is taken.
    pub check_ticket: bool,
    /// How far beyond the target's longest session extensions may take one.
    pub max_extension: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            stages: Vec::new(),
            reason: None,
            check_ticket: false,
            max_extension: MAX_EXTENSION,
        }
    }
}

/// What a reason must look like.
#[derive(Debug, Clone)]
pub struct ReasonRule {
    pattern: Regex,
    hint: String,
}

impl ReasonRule {
    /// Reasons that have `pattern` in them; the group named `ticket`, if there is one, is the
    /// ticket that they name. `hint` tells people what is wanted.
    ///
    /// # Errors
    /// If `pattern` is not a regular expression.
    pub fn new(pattern: &str, hint: Option<String>) -> Result<Self, regex::Error> {
        Ok(Self {
            hint: hint.unwrap_or_else(|| format!("a reason that matches {pattern}")),
            pattern: Regex::new(pattern)?,
        })
    }

    /// The regular expression.
    pub fn pattern(&self) -> &str {
        self.pattern.as_str()
    }

    /// What is wanted, in words.
    pub fn hint(&self) -> &str {
        &self.hint
    }

    /// Whether a part of it is the ticket.
    pub fn names_tickets(&self) -> bool {
        let mut names = self.pattern.capture_names();
        names.any(|name| name == Some("ticket"))
    }

    /// The ticket that `reason` names, if it has to name one.
    ///
    /// # Errors
    /// The hint, if the reason is not what is wanted.
    pub fn ticket(&self, reason: &str) -> Result<Option<String>, String> {
        let found = self.pattern.captures(reason);
        let found = found.ok_or_else(|| self.hint.clone())?;
        let ticket = found.name("ticket");
        Ok(ticket.map(|ticket| ticket.as_str().to_owned()))
    }
}

impl PartialEq for ReasonRule {
    fn eq(&self, other: &Self) -> bool {
        self.pattern.as_str() == other.pattern.as_str() && self.hint == other.hint
    }
}

impl Eq for ReasonRule {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_names_its_ticket_or_is_told_what_is_wanted() {
        let hint = Some("the number of an incident, like INC-4312".to_owned());
        let rule = ReasonRule::new(r"\b(?<ticket>INC-\d+)\b", hint).unwrap();
        let ticket = rule.ticket("INC-4312 stuck refunds");
        assert_eq!(ticket, Ok(Some("INC-4312".to_owned())));
        let wanted = rule.ticket("stuck refunds").unwrap_err();
        assert_eq!(wanted, "the number of an incident, like INC-4312");
        let plain = ReasonRule::new("refund", None).unwrap();
        assert_eq!(plain.ticket("stuck refunds"), Ok(None));
    }
}
