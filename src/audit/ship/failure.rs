//! Why something did not get to its destination.

use std::io;
use std::time::Duration;

use crate::audit::follow::FollowError;

/// Why something did not get to its destination. It is tried again, whatever it is.
///
/// None of the texts carries a record, a secret, or what the destination's answer says.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The destination cannot be reached, or the connection broke.
    #[error("{0}")]
    Unreachable(String),
    /// The destination answered that it does not take it.
    #[error("it answered {status}")]
    Refused {
        /// Its status.
        status: u16,
        /// How long it asked to be left alone.
        retry_after: Option<Duration>,
    },
    /// The destination does not take so much at a time.
    #[error("it answered 413: {bytes} bytes are too many")]
    TooLarge {
        /// What it did not take.
        bytes: usize,
    },
    /// The bucket has another object of that name.
    #[error(
        "{0} is there already, with other content: another hallpass ships to the same place, or somebody put it there; nothing is overwritten"
    )]
    Conflict(String),
    /// The log cannot be read here.
    #[error(transparent)]
    Log(#[from] FollowError),
    /// Something of ours on this machine failed.
    #[error("{what}: {source}")]
    Local {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl Failure {
    /// As metrics call it.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Refused { .. } => "refused",
            Self::TooLarge { .. } => "too_large",
            Self::Conflict(_) => "conflict",
            Self::Log(FollowError::Missing { .. }) => "missing",
            Self::Log(_) | Self::Local { .. } => "local",
        }
    }

    /// Whether the destination objects to what it was sent: less of it may be taken.
    pub(super) fn is_of_content(&self) -> bool {
        matches!(
            self,
            Self::TooLarge { .. }
                | Self::Refused {
                    status: 400 | 422,
                    ..
                }
        )
    }

    /// How long the destination asked to be left alone.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Makes a failure of an error on this machine.
    pub(super) fn local(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Local { what, source }
    }
}

impl From<object_store::Error> for Failure {
    fn from(error: object_store::Error) -> Self {
        Self::Unreachable(with_causes(&error))
    }
}

/// How much is told of an error; a server's own words may go on and on.
const TOLD: usize = 600;

/// The message of an error and of what caused it, each once, on one line.
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(visible).take(TOLD).collect()
}
