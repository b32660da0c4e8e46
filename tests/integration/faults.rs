//! Bad input and failing servers: a clear error, the right exit code, a truthful report.

mod bad_input;
mod limits;
mod patience;
mod servers;
mod stopping;
