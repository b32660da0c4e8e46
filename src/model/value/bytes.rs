//! Binary spelled as text: compared digit by digit, so that nothing is allocated.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Whether hexadecimal `text`, in either case, spells `bytes`; `None` where it is not hexadecimal.
pub fn hex_spells(text: &[u8], bytes: &[u8]) -> Option<bool> {
    if !text.len().is_multiple_of(2) || !text.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let same = text.len() == bytes.len() * 2
        && text.chunks_exact(2).zip(bytes).all(|(pair, byte)| {
            digit_of(pair[0]) == Some(byte >> 4) && digit_of(pair[1]) == Some(byte & 15)
        });
    Some(same)
}

/// Whether base64 `text` spells `bytes`: standard or URL-safe alphabet, padded or not; `None` where it
/// is not base64.
pub fn base64_spells(text: &[u8], bytes: &[u8]) -> Option<bool> {
    let padding = text.iter().rev().take_while(|b| **b == b'=').count();
    let digits = &text[..text.len() - padding];
    let is_base64 = digits.len() % 4 != 1
        && (padding == 0 || (padding <= 2 && text.len().is_multiple_of(4)))
        && digits.iter().all(|b| sextet_of(*b).is_some());
    if !is_base64 {
        return None;
    }
    let mut expected = bytes.iter();
    let mut held = 0u32;
    let mut bits = 0u32;
    for sextet in digits.iter().filter_map(|b| sextet_of(*b)) {
        held = ((held << 6) | u32::from(sextet)) & 0xFFFF;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            if expected.next().map(|b| u32::from(*b)) != Some((held >> bits) & 0xFF) {
                return Some(false);
            }
        }
    }
    Some(expected.next().is_none())
}

/// Lower-case hexadecimal; upper-case where `is_like` (an older spelling) has upper-case digits.
pub fn to_hex(bytes: &[u8], is_like: &[u8]) -> String {
    if is_like.iter().any(u8::is_ascii_uppercase) {
        hex::encode_upper(bytes)
    } else {
        hex::encode(bytes)
    }
}

/// Standard base64 with padding; alphabet and padding as in `is_like` (an older spelling) where that shows them.
pub fn to_base64(bytes: &[u8], is_like: &[u8]) -> String {
    let text = STANDARD.encode(bytes);
    let url_safe = is_like.iter().any(|b| matches!(b, b'-' | b'_'));
    let unpadded = !is_like.is_empty() && !is_like.len().is_multiple_of(4);
    let text = if url_safe {
        text.replace('+', "-").replace('/', "_")
    } else {
        text
    };
    if unpadded {
        text.trim_end_matches('=').to_owned()
    } else {
        text
    }
}

fn digit_of(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|d| u8::try_from(d).ok())
}

fn sextet_of(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tells_no_spelling_from_another_value() {
        assert_eq!(hex_spells(b"00fF", &[0, 255]), Some(true));
        assert_eq!(hex_spells(b"00fe", &[0, 255]), Some(false));
        assert_eq!(hex_spells(b"00", &[0, 255]), Some(false));
        assert_eq!(hex_spells(b"0g", &[0]), None);
        assert_eq!(hex_spells(b"000", &[0]), None);
        assert_eq!(base64_spells(b"-_8=", &[0xFB, 0xFF]), Some(true));
        assert_eq!(base64_spells(b"+/8", &[0xFB, 0xFF]), Some(true));
        assert_eq!(base64_spells(b"", &[]), Some(true));
        assert_eq!(base64_spells(b"A", &[0]), None);
        assert_eq!(base64_spells(b"AA=A", &[0]), None);
    }

    proptest! {
        #[test]
        fn spells_what_it_wrote(bytes: Vec<u8>, other: Vec<u8>) {
            prop_assert_eq!(hex_spells(to_hex(&bytes, b"").as_bytes(), &bytes), Some(true));
            prop_assert_eq!(base64_spells(to_base64(&bytes, b"").as_bytes(), &bytes), Some(true));
            prop_assert_eq!(base64_spells(to_base64(&bytes, b"ab-").as_bytes(), &bytes), Some(true));
            prop_assert_eq!(base64_spells(to_base64(&bytes, b"").as_bytes(), &other), Some(bytes == other));
        }
    }
}
