//! From the spanned twin to a [`Job`](super::Job): settings judged beside each other.

mod cache;
mod fields;
mod job;
mod overlaps;
mod policy;
mod source;
mod stores;
mod stream;
mod stream_policy;
mod streams;

pub(super) use job::build;
