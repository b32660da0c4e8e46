//! How the work is cut: checks bound to a live schema, windows, slices, margins. Pure.

mod bind;
mod bind_stream;
mod binder;
mod id_slices;
mod slices;
mod timing;
pub mod window;

pub use bind::{Bound, SourceSchema, bind};
pub use bind_stream::{BoundStream, bind_stream};
pub use id_slices::{IdSlice, cut_ids};
pub use slices::{Slice, is_integer_key, slices, slices_behind};
pub use timing::{attribute, select_since, timing_of};
