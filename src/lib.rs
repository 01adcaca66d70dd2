//! hallpass: a PostgreSQL proxy that lets a connection in only under an approved, time-boxed
//! session, records every statement before the database sees it, and closes every connection when
//! its session ends.
//!
//! Two planes and one hinge: [`proxy`] lets connections in and out and records them, [`control`]
//! lets people ask and decide, [`admission`] holds the live sessions between them, and at the
//! [`asking`] desk a client asks for one. [`access`] has the rules, [`identity`] what proves who
//! somebody is, [`tickets`] the look at a ticket, [`audit`] the record, [`pg`] the wire, [`sql`] SQL as text, [`store`] what must
//! survive; [`http`] and
//! [`cli`] carry it to people, and [`app`] puts it together. ARCHITECTURE.md walks through it.
//!
//! What holds everywhere: no byte of a client reaches an upstream without an [`admission::Permit`],
//! and no statement before its record is durable; a session that has ended stays ended; requester
//! and approver are never the same; logs and metrics carry no SQL, parameters or secrets.
//! Deliberately absent: pooling, judging SQL, re-encoding of messages, global state, `unsafe`.

pub mod access;
pub mod admission;
pub mod app;
pub mod asking;
pub mod audit;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod http;
pub mod identity;
pub mod notify;
pub mod pg;
pub mod policy;
pub mod proxy;
pub mod secret;
pub mod sql;
pub mod store;
pub mod telemetry;
pub mod tickets;
pub mod tls;
