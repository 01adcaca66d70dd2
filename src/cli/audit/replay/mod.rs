//! `hallpass audit replay`.
