//! Typed values: what a piece of text means, so that two spellings of one value are equal and two
//! values that look alike are not. Pure, and without allocation where both sides agree.

pub mod bytes;
pub mod instant;
pub mod json;
pub mod number;

pub use instant::{Moment, Readings};
pub use number::Number;
