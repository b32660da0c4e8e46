//! How bytes are spelled in a CSV cell, and back again.
//!
//! Two layers. *Escaping* turns any bytes into printable text: printable UTF-8 stays, a backslash
//! is `\\`, every other byte is `\xNN`, a comma inside a part of a composite id is `\,`, and empty
//! bytes are `\e`, so that an empty cell always means "nothing there". *Guarding* then keeps a
//! spreadsheet from reading a cell as a formula: a cell that begins with `=`, `+`, `-`, `@`, tab,
//! carriage return or `'` gets a leading `'`, unless the whole cell is a plain number.
//! (OWASP, "CSV Injection", which also names the full-width forms of the four signs.)

/// Why a cell is not one of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CellError {
    #[error("the cell ends inside an escape")]
    Unfinished,
    #[error("`\\{0}` is no escape; write `\\\\` for a backslash")]
    UnknownEscape(char),
}

/// Any bytes as printable text; `\e` for none.
pub fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    escape_into(bytes, Comma::Plain, &mut text);
    text
}

/// The parts of a composite id, joined by commas; empty for an id without parts.
pub fn escape_id(parts: &[Vec<u8>]) -> String {
    let mut text = String::new();
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        escape_into(part, Comma::Escaped, &mut text);
    }
    text
}

/// The bytes that [`escape`] was given.
pub fn unescape(text: &str) -> Result<Vec<u8>, CellError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c == '\\' {
            unescape_one(&mut chars, &mut bytes)?;
        } else {
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    Ok(bytes)
}

/// The parts that [`escape_id`] was given.
pub fn unescape_id(text: &str) -> Result<Vec<Vec<u8>>, CellError> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let mut parts = vec![Vec::new()];
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let part = parts.last_mut().expect("there is always a part begun");
        match c {
            ',' => parts.push(Vec::new()),
            '\\' => unescape_one(&mut chars, part)?,
            c => part.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Ok(parts)
}

/// `text` as a cell no spreadsheet computes.
pub(super) fn guard(text: String) -> String {
    if text.starts_with(is_trigger) && !is_plain_number(&text) {
        format!("'{text}")
    } else {
        text
    }
}

/// What [`guard`] was given.
pub(super) fn unguard(cell: &str) -> &str {
    cell.strip_prefix('\'').unwrap_or(cell)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Comma {
    Plain,
    Escaped,
}

fn escape_into(bytes: &[u8], comma: Comma, text: &mut String) {
    if bytes.is_empty() {
        text.push_str("\\e");
    }
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => text.push_str("\\\\"),
                ',' if comma == Comma::Escaped => text.push_str("\\,"),
                c if is_printable(c) => text.push(c),
                c => push_hex(c.encode_utf8(&mut [0; 4]).as_bytes(), text),
            }
        }
        push_hex(chunk.invalid(), text);
    }
}

fn push_hex(bytes: &[u8], text: &mut String) {
    use std::fmt::Write;
    for byte in bytes {
        write!(text, "\\x{byte:02X}").expect("a String takes every write");
    }
}

/// Reads what follows a backslash.
fn unescape_one(chars: &mut std::str::Chars<'_>, bytes: &mut Vec<u8>) -> Result<(), CellError> {
    match chars.next().ok_or(CellError::Unfinished)? {
        '\\' => bytes.push(b'\\'),
        ',' => bytes.push(b','),
        'e' => {}
        'x' => {
            let mut digit = || {
                let c = chars.next().ok_or(CellError::Unfinished)?;
                c.to_digit(16).ok_or(CellError::UnknownEscape(c))
            };
            let byte = digit()? * 16 + digit()?;
            bytes.push(u8::try_from(byte).expect("two hex digits fit a byte"));
        }
        other => return Err(CellError::UnknownEscape(other)),
    }
    Ok(())
}

/// Neither a control character nor one that hides or reorders its neighbours on a screen.
fn is_printable(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{ffff}' | '\u{e0000}'..='\u{e007f}')
}

fn is_trigger(c: char) -> bool {
    matches!(
        c,
        '=' | '+' | '-' | '@' | '\t' | '\r' | '\'' | '＝' | '＋' | '－' | '＠'
    )
}

/// An optional sign, digits, an optional fraction, an optional exponent.
fn is_plain_number(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    let fits = match mantissa.split_once('.') {
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => digits(mantissa),
    };
    fits && exponent.is_none_or(|e| digits(e.strip_prefix(['+', '-']).unwrap_or(e)))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spells_what_a_person_can_read_and_a_machine_can_undo() {
        assert_eq!(escape("user:7:김".as_bytes()), "user:7:김");
        assert_eq!(escape(b"a\\b\n\xff"), "a\\\\b\\x0A\\xFF");
        assert_eq!(escape(b""), "\\e");
        assert_eq!(
            escape("right\u{202e}left".as_bytes()),
            "right\\xE2\\x80\\xAEleft"
        );
        assert_eq!(escape_id(&[b"a,b".to_vec(), b"".to_vec()]), "a\\,b,\\e");
        assert_eq!(escape_id(&[]), "");
    }

    #[test]
    fn refuses_what_it_never_wrote() {
        assert_eq!(unescape("a\\"), Err(CellError::Unfinished));
        assert_eq!(unescape("a\\x1"), Err(CellError::Unfinished));
        assert_eq!(unescape("a\\q"), Err(CellError::UnknownEscape('q')));
        assert_eq!(unescape("\\xGG"), Err(CellError::UnknownEscape('G')));
    }

    #[test]
    fn guards_formulas_and_leaves_numbers() {
        for text in [
            "=1+1", "+x", "-1+1", "@SUM(A1)", "\tx", "\r=1", "'quoted", "-", "＝1", "-1,2",
        ] {
            assert_eq!(guard(text.into()), format!("'{text}"), "{text:?}");
        }
        for text in ["-1", "+1.5", "-0.10e-7", "7", "user:7", "", "a=b"] {
            assert_eq!(guard(text.into()), text, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_come_back(bytes: Vec<u8>) {
            let cell = guard(escape(&bytes));
            prop_assert!(cell.chars().all(|c| !c.is_control()));
            prop_assert_eq!(unescape(unguard(&cell)).unwrap(), bytes);
        }

        #[test]
        fn any_id_comes_back(parts: Vec<Vec<u8>>) {
            prop_assert_eq!(unescape_id(unguard(&guard(escape_id(&parts)))).unwrap(), parts);
        }

        #[test]
        fn ids_of_awkward_text_come_back(parts in proptest::collection::vec("[,\\\\e'=x0-9-]{0,4}", 0..4)) {
            let parts: Vec<Vec<u8>> = parts.into_iter().map(String::into_bytes).collect();
            prop_assert_eq!(unescape_id(unguard(&guard(escape_id(&parts)))).unwrap(), parts);
        }
    }
}
