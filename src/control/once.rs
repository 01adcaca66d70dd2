//! What is asked twice by the same key is done once.

use crate::access::Caller;
use crate::secret::sha256;
use crate::store::{Answer, Call, Claim};

use super::{Control, Error};

/// A call with a key, which is the caller's to do.
#[derive(Debug)]
pub struct Once([u8; 32]);

/// What is to be done about a call with a key.
#[derive(Debug)]
pub enum Repeat {
    /// It is the first: do it, and then say what it was answered.
    First(Once),
    /// It was done, and answered this.
    Again(Answer),
}

impl Control {
    /// Whether `caller` asks for this the first time by this key. `what` is the call, `body` what
    /// comes with it.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the key was for something else; [`Error::KeyInUse`] if the call was
    /// begun, and its answer is not known; [`Error::KeyUsed`] if that was not kept, being a secret.
    pub async fn once(
        &self,
        caller: &Caller,
        what: &str,
        key: &str,
        body: &[u8],
    ) -> Result<Repeat, Error> {
        // Neither a name nor a path has a zero in it.
        let key = format!("{}\0{what}\0{key}", caller.name);
        let call = Call {
            key: sha256(key.as_bytes()),
            body: sha256(body),
            at: self.now(),
        };
        match self.store.claim_call(&call).await? {
            Claim::New => Ok(Repeat::First(Once(call.key))),
            Claim::Answered(answer) if answer.body.is_some() => Ok(Repeat::Again(answer)),
            Claim::Answered(_) => Err(Error::KeyUsed),
            Claim::Begun => Err(Error::KeyInUse),
            Claim::Other => Err(Error::Invalid(
                "the same Idempotency-Key came with another body".into(),
            )),
        }
    }

    /// Keeps what a call was answered, for 24 hours; `None` if nothing came of it, so that it may
    /// be tried again by the same key.
    pub async fn answered(&self, Once(key): Once, answer: Option<Answer>) {
        let kept = match &answer {
            Some(answer) => self.store.answer_call(key, answer).await,
            None => self.store.forget_call(key).await,
        };
        if let Err(error) = kept {
            tracing::warn!(%error, "an answer could not be kept for its Idempotency-Key");
        }
    }
}
