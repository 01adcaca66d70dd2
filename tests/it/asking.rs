//! Clients that ask for a session by connecting.

mod psql;
mod scripted;
