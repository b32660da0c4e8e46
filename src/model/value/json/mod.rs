//! JSON as RFC 8259 has it, strictly: one walk that finds a few members, and a tree for the rest.

mod lexer;
mod pointers;
mod text;
mod tree;

pub use lexer::JsonFault;
pub use pointers::Pointers;
pub use text::{quoted, unescaped};
pub use tree::{Member, Tree, parse_tree, same_value};

/// Containers inside containers beyond this many are refused, as most parsers do.
pub const DEPTH_MAX: usize = 128;

/// A value as it lies in the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonToken<'a> {
    pub kind: JsonKind,
    /// With the quotes of a string and the brackets of a container.
    pub raw: &'a [u8],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonKind {
    Null,
    Bool,
    Number,
    String { is_escaped: bool },
    Object,
    Array,
}
