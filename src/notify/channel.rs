//! A way to reach people.

use std::time::Duration;

use async_trait::async_trait;

use super::Notice;

/// Why a notice did not get there. The text may quote what the other side said; never a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Nobody answers: others would not get there either.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// The other side answers, and does not take it.
    #[error("refused: {why}")]
    Refused {
        /// What it said.
        why: String,
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// The other side does not want to hear of it again.
    #[error("refused for good: {0}")]
    Gone(String),
}

impl Failure {
    /// The other side does not take it, and says why.
    pub fn refused(why: impl Into<String>) -> Self {
        Self::Refused {
            why: why.into(),
            retry_after: None,
        }
    }
}

/// What a channel is given.
#[derive(Debug, Clone, Copy)]
pub struct Delivery<'a> {
    /// What to say.
    pub notice: &'a Notice,
    /// To whom, where a channel has recipients.
    pub recipient: &'a str,
    /// What the channel answered to the last notice about the same request.
    pub place: Option<&'a str>,
}

/// A way to reach people: Slack, e-mail, a webhook.
#[async_trait]
pub trait Channel: Send + Sync {
    /// What it is called in the configuration, in metrics and on the command line.
    fn name(&self) -> &str;

    /// Whether each notice goes to recipients of its own.
    fn has_recipients(&self) -> bool {
        false
    }

    /// Carries a notice there. May be repeated: the notice's id is the same then.
    ///
    /// The answer says where it is now, for a later notice about the same request to find it;
    /// `None` if nothing is to be found there again.
    ///
    /// # Errors
    /// [`Failure`] if it did not get there, as far as one can know.
    async fn deliver(&self, delivery: Delivery<'_>) -> Result<Option<String>, Failure>;
}
