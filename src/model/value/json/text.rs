//! The text inside a JSON string.

use std::borrow::Cow;

/// What a string token says, its escapes decoded. `raw` is a string token of a document that was read,
/// with its quotes; borrowed where there is no escape.
pub fn unescaped(raw: &[u8]) -> Cow<'_, [u8]> {
    let inner = &raw[1..raw.len() - 1];
    if !inner.contains(&b'\\') {
        return Cow::Borrowed(inner);
    }
    let mut out = Vec::with_capacity(inner.len());
    let mut at = 0;
    while at < inner.len() {
        if inner[at] != b'\\' {
            out.push(inner[at]);
            at += 1;
            continue;
        }
        match inner[at + 1] {
            b'u' => {
                let (character, length) = code_point(&inner[at..]);
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                at += length;
                continue;
            }
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            other => out.push(other),
        }
        at += 2;
    }
    Cow::Owned(out)
}

/// `text` as a JSON string with its quotes; `None` where it is not UTF-8, which JSON cannot spell.
pub fn quoted(text: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?;
    let mut out = Vec::with_capacity(text.len() + 2);
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..=0x1F => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
    Some(out)
}

/// The character of a checked `\uXXXX`, or of a checked pair of them, and how many bytes it takes.
fn code_point(text: &[u8]) -> (char, usize) {
    let unit = |at: usize| {
        text[at..at + 4].iter().fold(0, |unit, d| {
            unit * 16 + char::from(*d).to_digit(16).unwrap_or(0)
        })
    };
    match unit(2) {
        high @ 0xD800..=0xDBFF => {
            let point = 0x10000 + ((high - 0xD800) << 10) + (unit(8) - 0xDC00);
            (
                char::from_u32(point).expect("the lexer checked the pair"),
                12,
            )
        }
        point => (
            char::from_u32(point).expect("the lexer refused lone surrogates"),
            6,
        ),
    }
}
