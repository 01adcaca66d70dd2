//! Telling people what happens: what a [`Notice`] says, and the [`Channel`]s that carry it.
//!
//! Mechanisms only: no store and no use cases. Who is told what, and when a channel that failed is
//! tried again, is decided in `control`. What people wrote is hostile everywhere here: in Slack's
//! markup, in HTML and in headers.

mod channel;
mod email;
mod http;
mod notice;
pub mod slack;
mod text;
mod webhook;

pub use channel::{Channel, Delivery, Failure};
pub use email::{Email, EmailSettings, Encryption, SetupError};
pub use notice::{Kind, Notice};
pub use slack::{Slack, SlackSettings};
pub use text::inert;
pub use webhook::{InvalidSecret, Webhook, WebhookSecret, WebhookSettings};
