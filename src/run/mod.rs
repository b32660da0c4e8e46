//! The conductor, the one room where rooms meet: one file per subcommand.

pub mod request;
