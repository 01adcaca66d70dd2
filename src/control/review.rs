//! What was done when the glass was broken is looked at afterwards, by somebody else.

use std::sync::Arc;

use crate::access::{Approver, Caller, Review, ReviewError, ReviewState, SessionId};
use crate::audit::Event;
use crate::policy::{Action, Context};
use crate::store::{Change, Filter, Write};

use super::powers::Powers;
use super::window::{ajar, page};
use super::{Control, Error, Page, Window, act, reason, to_the_end};

impl Control {
    /// The reviews that `caller` may see, the newest first; only open ones if so asked.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn reviews(&self, caller: &Caller, open_only: bool) -> Result<Vec<Review>, Error> {
        let window = Window::default();
        let page = self.reviews_within(caller, open_only, &window).await?;
        Ok(page.items)
    }

    /// A part of them.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn reviews_within(
        &self,
        caller: &Caller,
        open_only: bool,
        window: &Window,
    ) -> Result<Page<Review>, Error> {
        let mut filter = self.visible(caller, open_only).await?;
        filter.window = ajar(window);
        Ok(page(self.store.reviews(&filter).await?, window))
    }

    /// The review of a session, if `caller` may see it.
    ///
    /// # Errors
    /// [`Error::NotFound`] if not, or if there is none.
    pub async fn review(&self, caller: &Caller, session: SessionId) -> Result<Review, Error> {
        let powers = self.powers(caller).await?;
        self.visible_review(caller, &powers, session).await
    }

    async fn visible_review(
        &self,
        caller: &Caller,
        powers: &Powers,
        session: SessionId,
    ) -> Result<Review, Error> {
        let review = self.store.review(session).await?.filter(|review| {
            review.principal == caller.name || self.any_may(powers, Action::View, &review.target)
        });
        review.ok_or(Error::NotFound("review"))
    }

    /// Closes the review of a session, with a note of what was found.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none that the caller may see, [`Error::Forbidden`] if it is
    /// their own or not up to them, [`Error::Conflict`] if it is closed, [`Error::Invalid`]
    /// without a note.
    pub async fn close_review(
        self: &Arc<Self>,
        caller: &Caller,
        session: SessionId,
        note: &str,
    ) -> Result<Review, Error> {
        let (note, now) = (reason(note)?, self.now());
        let powers = self.powers(caller).await?;
        let old = self.visible_review(caller, &powers, session).await?;
        let new = self.reviewer(&powers, &old, |reviewer| {
            old.clone().close(reviewer, note, now)
        })?;
        let watched = self.store.session(session).await?;
        if watched.is_some_and(|it| !it.state.is_final() && now < it.expires_at) {
            return Err(ReviewError::Live.into());
        }
        let change = Change {
            review: Some(Write::Changed(new.clone())),
            acts: vec![act(now, closed(&new))],
            ..Change::default()
        };
        let control = Arc::clone(self);
        to_the_end(async move {
            control.commit(&change).await?;
            control.count_reviews().await;
            control.follow_up().await;
            Ok(())
        })
        .await?;
        Ok(new)
    }

    /// What `attempt` makes of the review, by the first of their powers that lets it.
    fn reviewer(
        &self,
        powers: &Powers,
        review: &Review,
        attempt: impl Fn(Approver<'_>) -> Result<Review, ReviewError>,
    ) -> Result<Review, Error> {
        let mut refusal = None;
        for (reviewer, hat) in powers.approvers() {
            let own = reviewer.is_or_stands_for(&review.principal);
            if own || self.may_review(hat, review) {
                match attempt(reviewer) {
                    Ok(closed) => return Ok(closed),
                    Err(error) => _ = refusal.get_or_insert(error),
                }
            }
        }
        Err(refusal.map_or_else(
            || Error::Forbidden(format!("you may not review sessions for {}", review.target)),
            Error::from,
        ))
    }

    fn may_review(&self, caller: &Caller, review: &Review) -> bool {
        let context = Context {
            reason: Some(&review.reason),
            requester: Some(&review.principal),
            ..Context::at(self.clock.now())
        };
        let rules = self.rules.load();
        rules.allow(caller, Action::Review, &review.target, context)
    }

    /// Counts the reviews that are open.
    pub(super) async fn count_reviews(&self) {
        let open = Filter {
            open_only: true,
            ..Filter::default()
        };
        if let Ok(reviews) = self.store.reviews(&open).await {
            self.metrics.reviews_open(reviews.len());
        }
    }
}

/// The fact that a review was closed, as its state tells.
fn closed(review: &Review) -> Event {
    let ReviewState::Closed {
        by,
        on_behalf_of,
        note,
        ..
    } = review.state.clone()
    else {
        unreachable!("it was just closed");
    };
    Event::ReviewClosed {
        session: review.session,
        principal: review.principal.clone(),
        target: review.target.clone(),
        by,
        on_behalf_of,
        note,
    }
}
