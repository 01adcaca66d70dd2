//! From the first byte to the first ReadyForQuery, with clients that nobody wrote on purpose.

mod authentication;
mod cancel;
mod doorstep;
mod names;
mod negotiation;
