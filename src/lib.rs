//! hallpass: a PostgreSQL proxy that lets a connection in only under an approved, time-boxed
//! session, records every statement before the database sees it, and closes every connection when
//! its session ends.

pub mod access;
pub mod admission;
pub mod app;
pub mod audit;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod http;
pub mod pg;
pub mod policy;
pub mod proxy;
pub mod secret;
pub mod store;
pub mod telemetry;
pub mod tls;
