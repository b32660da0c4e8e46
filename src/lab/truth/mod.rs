//! What an audit of the auction application has to find, worked out with the application quiet by reading
//! everything on both sides and comparing it in the plainest way there is.

mod compare;
mod read;

pub use self::compare::{Expected, Truth};
pub(super) use self::read::cached_fields;
