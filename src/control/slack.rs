//! People decide in Slack.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::access::{Caller, RequestId};
use crate::notify::Slack;
use crate::notify::slack::{Deed, Interaction, Signed, Unreadable, Unsigned};

use super::{Control, Error};

/// Slack wants an answer within 3 s; what takes longer goes on behind it.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why a call of Slack's is not heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SlackRefusal {
    /// It is not from Slack, or not from now, or was here before. Where there is no
    /// `[notify.slack]`, nothing is.
    #[error(transparent)]
    Unsigned(#[from] Unsigned),
    /// It is about something else.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

/// Why nothing came of what somebody did in Slack.
enum Complaint {
    /// Nobody knows them here.
    Stranger,
    /// The use case says no.
    No(Error),
    /// Slack itself fails.
    Slack(crate::notify::Failure),
}

impl Complaint {
    /// In words for whoever did it.
    fn words(&self, user: &str) -> String {
        match self {
            Self::Stranger => format!(
                "Your Slack user {user} is nobody in hallpass: whoever runs it can add you to [notify.slack.users]."
            ),
            // The same for both, as everywhere.
            Self::No(Error::NotFound(_)) => {
                "There is no such request, or it is not for you to decide.".to_owned()
            }
            Self::No(error) => format!("Nothing was decided: {error}."),
            Self::Slack(failure) => format!("Slack did not show the dialogue: {failure}."),
        }
    }
}

impl Control {
    /// Hears what somebody did in Slack, and does it as them: with what policy lets them do
    /// anywhere, and without a second factor. What is in the way is shown to them alone; where
    /// they stand before a dialogue, the answer says it.
    ///
    /// # Errors
    /// [`SlackRefusal`] if it is not Slack that calls.
    pub async fn hear_slack(
        self: &Arc<Self>,
        call: &Signed<'_>,
    ) -> Result<Option<String>, SlackRefusal> {
        let telling = self.telling();
        let slack = telling.slack.as_ref().ok_or(Unsigned::Forged)?;
        slack.verifier().verify(call, self.now())?;
        let did = Interaction::read(call.body)?;
        let (control, slack) = (Arc::clone(self), Arc::clone(slack));
        let work = tokio::spawn(async move { control.obey(&slack, &did).await });
        let done = tokio::time::timeout(PATIENCE, work).await;
        Ok(done.ok().and_then(Result::ok).flatten())
    }

    /// Does what somebody wants; what the dialogue is to show that they stand before.
    async fn obey(self: &Arc<Self>, slack: &Slack, did: &Interaction) -> Option<String> {
        let started = Instant::now();
        let complaint = self.decide_in_slack(slack, did).await.err()?;
        let words = complaint.words(&did.user);
        let in_dialogue = matches!(did.deed, Deed::Deny { .. });
        if in_dialogue && started.elapsed() < PATIENCE {
            return Some(words);
        }
        if let Err(failure) = slack.whisper(&did.channel, &did.user, &words).await {
            tracing::warn!(%failure, user = did.user, "somebody in Slack was not told why not");
        }
        None
    }

    async fn decide_in_slack(
        self: &Arc<Self>,
        slack: &Slack,
        did: &Interaction,
    ) -> Result<(), Complaint> {
        if did.deed == Deed::Nothing {
            return Ok(());
        }
        let caller = self.slack_caller(&did.user).await?;
        match &did.deed {
            Deed::Nothing => Ok(()),
            Deed::Approve(request) => {
                let approved = self.approve(&caller, *request, None).await;
                approved.map(drop).map_err(Complaint::No)
            }
            Deed::WantToDeny { request, trigger } => {
                self.may_still_decide(&caller, *request).await?;
                let asked = slack.ask_why(trigger, *request, &did.channel).await;
                asked.map_err(Complaint::Slack)
            }
            Deed::Deny { request, reason } => {
                let denied = self.deny(&caller, *request, reason).await;
                denied.map(drop).map_err(Complaint::No)
            }
        }
    }

    /// Better now than after they have written down why.
    async fn may_still_decide(&self, caller: &Caller, id: RequestId) -> Result<(), Complaint> {
        let status = self.request(caller, id).await.map_err(Complaint::No)?;
        match status.may_decide {
            true => Ok(()),
            false => {
                let state = status.request.state.name();
                let no = format!("you may not decide this request; it is {state}");
                Err(Complaint::No(Error::Forbidden(no)))
            }
        }
    }

    /// Whom a user of Slack acts as, without a second factor and from nowhere in particular.
    async fn slack_caller(&self, user: &str) -> Result<Caller, Complaint> {
        let telling = self.telling();
        let name = telling.slack_users.get(user);
        let name = name.ok_or(Complaint::Stranger)?;
        let principal = self.principal(name).await.map_err(Complaint::No)?;
        principal.map(Caller::new).ok_or(Complaint::Stranger)
    }
}
