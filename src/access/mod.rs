//! The rules of access, pure: no I/O, no runtime, and time is an argument.
//!
//! A [`AccessRequest`] goes `Pending -> Approved / Denied / Withdrawn / Lapsed`; an approved one
//! yields a [`Session`], which goes `Scheduled -> Active -> Expired / Revoked`. Every transition is
//! a function from the old value to the new one; the store commits it only if nobody was faster.

mod caller;
mod hold;
mod ids;
mod principal;
mod request;
mod session;
mod target;

pub use caller::Caller;
pub use hold::Hold;
pub use ids::{ConnectionId, InvalidId, RequestId, SessionId};
pub use principal::{InvalidName, Principal, PrincipalKind, PrincipalName, TargetName};
pub use request::{AccessRequest, RequestState, Submission, SubmissionError, TransitionError};
pub use session::{Ending, Session, SessionState};
pub use target::{Databases, Target};
