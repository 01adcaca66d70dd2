//! The SQLSTATEs that hallpass itself sends (Appendix A of the PostgreSQL manual).

/// A five-character code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SqlState(&'static str);

impl SqlState {
    /// `connection_failure`: the upstream cannot be reached.
    pub const CONNECTION_FAILURE: Self = Self("08006");
    /// `protocol_violation`
    pub const PROTOCOL_VIOLATION: Self = Self("08P01");
    /// `feature_not_supported`
    pub const FEATURE_NOT_SUPPORTED: Self = Self("0A000");
    /// `invalid_parameter_value`
    pub const INVALID_PARAMETER: Self = Self("22023");
    /// `invalid_authorization_specification`
    pub const INVALID_AUTHORIZATION: Self = Self("28000");
    /// `too_many_connections`
    pub const TOO_MANY_CONNECTIONS: Self = Self("53300");
    /// `admin_shutdown`: what a server says when it ends a connection.
    pub const ADMIN_SHUTDOWN: Self = Self("57P01");
    /// `idle_session_timeout`
    pub const IDLE_SESSION_TIMEOUT: Self = Self("57P05");
    /// `io_error`: the audit log cannot be written.
    pub const IO_ERROR: Self = Self("58030");
    /// `successful_completion`: notices.
    pub const SUCCESS: Self = Self("00000");

    /// The five characters.
    pub fn code(self) -> &'static str {
        self.0
    }
}
