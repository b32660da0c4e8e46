//! What DESIGN §2 promises, with the program as a child process and real servers.

mod killed;
mod lease;
mod one_key;
mod read_only;
mod ranges;
mod scopes;
mod shapes;
mod undo;
mod values;
