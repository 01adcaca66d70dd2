//! Why a use case does not do what it was asked.

use crate::access::{ReviewError, SubmissionError, TransitionError};
use crate::audit::Unavailable;
use crate::audit::reader::ReadError;
use crate::store::StoreError;

/// Why a use case does not do what it was asked. The text may be shown to the caller.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such thing, or the caller may not see it: the same answer for both.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The caller sees it but may not do that with it.
    #[error("{0}")]
    Forbidden(String),
    /// Who calls has not proved who they are: in the same words, whatever was wrong.
    #[error("the name, the password or the code is wrong, or the account cannot sign in now")]
    SignIn,
    /// They have, but somebody else knows the password.
    #[error("the password is one that was given out: choose another")]
    PasswordNeeded,
    /// The OpenID provider does not answer.
    #[error("the OpenID provider does not answer as it should; the server's log says more")]
    Provider,
    /// It has no device flow.
    #[error("the OpenID provider has no device flow: use a browser on this machine")]
    NoDeviceFlow,
    /// What was asked makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// The ticket could not be looked at.
    #[error("{0}")]
    Tracker(crate::tickets::Refusal),
    /// It is no longer, or not yet, in a state in which that can be done.
    #[error("{0}")]
    Conflict(String),
    /// What was begun by the same key may still go on; nobody knows what came of it.
    #[error("a call with the same Idempotency-Key was begun; look at what became of it")]
    KeyInUse,
    /// It was done by the same key, and its answer was a secret.
    #[error("it was made before, by the same Idempotency-Key; its secret is shown once")]
    KeyUsed,
    /// It has changed since the caller saw it: its version now.
    #[error("it has changed since you saw it: it is in version {0} now")]
    Changed(u64),
    /// As much goes on at a time as may.
    #[error("too many listen already: end one of yours, or try again later")]
    TooMany,
    /// No record can be made. What was asked is kept if it was a decision, but opens nothing
    /// before it is recorded.
    #[error("{0}: nothing is opened until that is mended")]
    AuditUnavailable(Unavailable),
    /// The audit cannot be read. The cause may quote it: it is for nobody.
    #[error("the audit cannot be read: `hallpass audit verify` on the server says why")]
    AuditUnreadable(#[source] ReadError),
    /// The store fails. The cause is for the log.
    #[error("the store is unavailable")]
    Store(#[source] StoreError),
    /// A session was ended here, but the store does not know.
    #[error(
        "the session was ended, but that could not be stored: repeat this, or a restart may open it again"
    )]
    NotStored(#[source] StoreError),
    /// hallpass ends, or something broke inside.
    #[error("it could not be completed; look at what became of it and try again")]
    Interrupted,
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict(_)
            | StoreError::LiveSession(_)
            | StoreError::TooManyPending(_) => Self::Conflict(error.to_string()),
            error => Self::Store(error),
        }
    }
}

impl From<Unavailable> for Error {
    fn from(unavailable: Unavailable) -> Self {
        Self::AuditUnavailable(unavailable)
    }
}

impl From<SubmissionError> for Error {
    fn from(error: SubmissionError) -> Self {
        match error {
            SubmissionError::Session(error) => error.into(),
            error => Self::Invalid(error.to_string()),
        }
    }
}

impl From<TransitionError> for Error {
    fn from(error: TransitionError) -> Self {
        use TransitionError as Cause;
        let text = error.to_string();
        match error {
            Cause::NotPending(_) | Cause::Undecided | Cause::SessionOver(_) => Self::Conflict(text),
            Cause::OwnRequest | Cause::NotRequester | Cause::Twice | Cause::NotNamed(_) => {
                Self::Forbidden(text)
            }
            Cause::NoReason | Cause::Lengthened | Cause::TooFar(_) | Cause::OtherSession => {
                Self::Invalid(text)
            }
        }
    }
}

impl From<ReviewError> for Error {
    fn from(error: ReviewError) -> Self {
        let text = error.to_string();
        match error {
            ReviewError::Closed | ReviewError::Live => Self::Conflict(text),
            ReviewError::Own => Self::Forbidden(text),
            ReviewError::NoNote => Self::Invalid(text),
        }
    }
}
