//! The rules of access, pure: no I/O, no runtime, and time is an argument.
//!
//! An [`AccessRequest`] goes `Pending -> Approved / Denied / Withdrawn / Lapsed`, through the stages
//! of its [`Chain`]; an approved one yields a [`Session`], which goes `Scheduled -> Active ->
//! Expired / Revoked`, or makes one longer. Every transition is a function from the old value to
//! the new one; the store commits it only if nobody was faster.

mod account;
mod approver;
mod caller;
mod chain;
mod delegation;
mod grantor;
mod hold;
mod ids;
mod principal;
mod request;
mod review;
pub(crate) mod schema;
mod scope;
mod session;
mod submission;
mod target;
mod token;

pub use account::{Account, AccountKind, lock};
mod terms;
mod transition;

pub use approver::Approver;
pub use caller::Caller;
pub use chain::{Approval, Chain, Stage};
pub use delegation::{Delegation, DelegationError};
pub use grantor::Grantor;
pub use hold::Hold;
pub use ids::{ConnectionId, InvalidId, RequestId, SessionId, TokenId};
pub use principal::{HALLPASS, InvalidName, Principal, PrincipalKind, PrincipalName, TargetName};
pub use request::{AccessRequest, Circumstances, RequestKind, RequestState};
pub use review::{Review, ReviewError, ReviewState};
pub use scope::{Right, Scope, UnknownScope};
pub use session::{Ending, Session, SessionState};
pub use submission::{Submission, SubmissionError, Wanted};
pub use target::{Databases, Target};
pub use terms::{ReasonRule, Terms};
pub use token::{ApiToken, TokenOrigin};
pub use transition::TransitionError;

use transition::after;
