//! Transport of the control plane: the REST API, and health and metrics for operators.

pub mod types;
