//! What an audit of the auction application has to find, worked out with the application quiet by reading
//! everything on both sides and comparing it in the plainest way there is.

mod compare;
mod lost;
mod read;
pub mod streams;

pub use self::compare::{Expected, Truth};
pub use self::lost::Lost;
pub(super) use self::read::cached_fields;
