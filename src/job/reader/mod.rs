//! From TOML to settings with their places, the first fault of each put aside.

mod section;
mod setting;

pub(super) use section::{NamedItem, Section, TextOrSection};
pub(super) use setting::{At, Reader, Setting, Text};
