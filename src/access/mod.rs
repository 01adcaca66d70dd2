//! The rules of access, pure: no I/O, no runtime, and time is an argument.
//!
//! A [`AccessRequest`] goes `Pending -> Approved / Denied / Withdrawn / Lapsed`; an approved one
//! yields a [`Session`], which goes `Scheduled -> Active -> Expired / Revoked`. Every transition is
//! a function from the old value to the new one; the store commits it only if nobody was faster.

mod account;
mod caller;
mod hold;
mod ids;
mod principal;
mod request;
mod scope;
mod session;
mod target;
mod token;

pub use account::{Account, AccountKind, lock};
pub use caller::Caller;
pub use hold::Hold;
pub use ids::{ConnectionId, InvalidId, RequestId, SessionId, TokenId};
pub use principal::{InvalidName, Principal, PrincipalKind, PrincipalName, TargetName};
pub use request::{AccessRequest, RequestState, Submission, SubmissionError, TransitionError};
pub use scope::{Right, Scope, UnknownScope};
pub use session::{Ending, Session, SessionState};
pub use target::{Databases, Target};
pub use token::{ApiToken, TokenOrigin};
