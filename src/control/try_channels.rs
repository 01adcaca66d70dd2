//! Somebody tries out whether notices arrive.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use crate::access::Caller;
use crate::notify::{Channel, Delivery, Failure, Notice};
use crate::policy::Action;

use super::notices::within;
use super::{Control, Error, random_id};

/// How long one channel may take; somebody waits.
const LIMIT: Duration = Duration::from_secs(25);

/// What came of a test.
#[derive(Debug, Clone)]
pub struct Tried {
    /// The channel.
    pub channel: String,
    /// To whom, where it has recipients.
    pub recipient: Option<String>,
    /// Why it did not get there.
    pub failure: Option<Failure>,
    /// How long that took.
    pub took: Duration,
}

impl Control {
    /// Sends a test notice by each channel, or by the one of this name, and says what came of it.
    ///
    /// # Errors
    /// [`Error::Forbidden`] if the caller may not, [`Error::Invalid`] if there is no such channel.
    pub async fn try_channels(
        &self,
        caller: &Caller,
        only: Option<&str>,
    ) -> Result<Vec<Tried>, Error> {
        if !self.may_overall(caller, Action::Administer) {
            let no = "you may not try the notifications out".to_owned();
            return Err(Error::Forbidden(no));
        }
        let wanted = |channel: &&dyn Channel| only.is_none_or(|only| only == channel.name());
        let telling = self.telling();
        let channels = telling.channels.iter().map(|channel| &**channel);
        let channels: Vec<&dyn Channel> = channels.filter(wanted).collect();
        if channels.is_empty() && only.is_some() {
            return Err(self.no_such_channel());
        }
        // Beside each other: one that hangs holds up none.
        let tried = channels.into_iter().map(|it| self.try_channel(it, caller));
        let tried: Result<Vec<_>, _> = join_all(tried).await.into_iter().collect();
        Ok(tried?.into_iter().flatten().collect())
    }

    fn no_such_channel(&self) -> Error {
        let telling = self.telling();
        let names = telling.channels.iter().map(|it| it.name());
        let names = names.collect::<Vec<_>>().join(", ");
        Error::Invalid(match names.as_str() {
            "" => "no channel is configured".to_owned(),
            names => format!("there is no such channel; there are {names}"),
        })
    }

    async fn try_channel(
        &self,
        channel: &dyn Channel,
        caller: &Caller,
    ) -> Result<Vec<Tried>, Error> {
        if !channel.has_recipients() {
            return Ok(vec![self.try_once(channel, caller, None).await]);
        }
        let recipients = self.test_recipients(caller).await?.into_iter();
        let each = recipients.map(|to| self.try_once(channel, caller, Some(to)));
        let mut tried = join_all(each).await;
        if tried.is_empty() {
            let nobody = "nobody to write to: set `email` of your principal, or recipients";
            tried.push(Tried {
                channel: channel.name().to_owned(),
                recipient: None,
                failure: Some(Failure::Gone(nobody.to_owned())),
                took: Duration::ZERO,
            });
        }
        Ok(tried)
    }

    async fn test_recipients(&self, caller: &Caller) -> Result<BTreeSet<String>, Error> {
        let people = self.people_with_mail().await?;
        let own = people.into_iter().filter(|(it, _)| it.name == caller.name);
        let own = own.map(|(_, email)| email);
        Ok(own.chain(self.telling().recipients.clone()).collect())
    }

    async fn try_once(
        &self,
        channel: &dyn Channel,
        caller: &Caller,
        recipient: Option<String>,
    ) -> Tried {
        let id = format!("test_{:x}", random_id());
        let notice = Notice::test(id, self.now(), caller.name.clone(), self.link(""));
        let delivery = Delivery {
            notice: &notice,
            recipient: recipient.as_deref().unwrap_or_default(),
            place: None,
        };
        let started = Instant::now();
        let delivered = within(LIMIT, channel.deliver(delivery)).await;
        Tried {
            channel: channel.name().to_owned(),
            recipient,
            failure: delivered.err(),
            took: started.elapsed(),
        }
    }
}
