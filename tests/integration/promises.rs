//! What DESIGN §2 promises, with the program as a child process and real servers.

mod compensation;
mod killed;
mod lease;
mod neighbours;
mod one_key;
mod ranges;
mod read_only;
mod scopes;
mod shapes;
mod undo;
mod values;
