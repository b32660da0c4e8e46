//! Passwords taken out of a job file's text before any of it is kept or shown.

use std::ops::Range;

/// `text` with every password replaced by stars, byte for byte as long: what follows the user name
/// in a URL, and the value of every key that ends in `password`. `${…}` alone is no secret and is
/// kept. Works on text that does not parse, because a syntax error shows its line too.
pub(super) fn masked(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for range in url_passwords(text).into_iter().chain(password_values(text)) {
        for byte in &mut bytes[range] {
            if *byte != b'\n' {
                *byte = b'*';
            }
        }
    }
    String::from_utf8(bytes).expect("whole characters were replaced by ASCII")
}

/// Between the first `:` after `://` and the last `@` of the string. A password with a blank, a slash
/// or a quote in it was not percent-encoded, but it is a password all the same: only what ends the
/// string ends the search.
fn url_passwords(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("://") {
        let start = at + 3;
        let quote = text[..at]
            .chars()
            .rev()
            .take_while(|c| *c != '\n')
            .find(|c| matches!(c, '"' | '\''));
        let url = &text[start..start + string_length(&text[start..], quote)];
        let Some(at_sign) = url.rfind('@') else {
            continue;
        };
        let colon = url[..at_sign].find(':').map_or(0, |colon| colon + 1);
        if !is_reference(&url[colon..at_sign]) {
            found.push(start + colon..start + at_sign);
        }
    }
    found
}

/// Bytes before the quote that ends a string, or before the end of the line.
fn string_length(rest: &str, quote: Option<char>) -> usize {
    let mut is_escaped = false;
    for (at, c) in rest.char_indices() {
        if c == '\n' || Some(c) == quote && !is_escaped {
            return at;
        }
        is_escaped = c == '\\' && quote == Some('"') && !is_escaped;
    }
    rest.len()
}

/// Everything on the line after `…password =` (and up to the closing quotes of a multi-line string).
fn password_values(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for (at, word) in text.match_indices("password") {
        let after = at + word.len();
        let rest = text[after..].trim_start_matches(['"', '\'', ' ', '\t']);
        let Some(rest) = rest.strip_prefix('=') else {
            continue;
        };
        let value = rest.trim_start_matches([' ', '\t']);
        let start = text.len() - value.len();
        let length = ["\"\"\"", "'''"]
            .into_iter()
            .find(|quotes| value.starts_with(quotes))
            .map_or_else(
                || value.find('\n').unwrap_or(value.len()),
                |quotes| value[3..].find(quotes).map_or(value.len(), |end| end + 6),
            );
        if !is_reference(value[..length].trim_end().trim_matches(['"', '\''])) {
            found.push(start..start + length);
        }
    }
    found
}

/// Whether the text is exactly one `${NAME}` or `${file:PATH}`, which gives nothing away. A default
/// (`${NAME:-value}`) may. A file's path may hold variables of its own.
fn is_reference(text: &str) -> bool {
    let Some(inside) = text.strip_prefix("${").and_then(|t| t.strip_suffix('}')) else {
        return false;
    };
    let mut inside = inside.to_owned();
    if inside.starts_with("file:") {
        while let Some((before, rest)) = inside.split_once("${") {
            let Some((name, after)) = rest.split_once('}') else {
                return false;
            };
            if name.contains(['$', '{', ':']) {
                return false;
            }
            inside = format!("{before}{after}");
        }
    }
    !inside.contains(['$', '{', '}']) && !inside.contains(":-")
}

#[cfg(test)]
mod tests {
    use super::masked;

    #[test]
    fn stars_take_the_place_of_passwords() {
        assert_eq!(
            masked("url = \"mysql://u:p@ss/w@h/d\""),
            "url = \"mysql://u:******@h/d\""
        );
        assert_eq!(masked("u = 'redis://:geheim@h'"), "u = 'redis://:******@h'");
        assert_eq!(
            masked("u = \"redis://u:it's\\\"x@h\""),
            "u = \"redis://u:*******@h\""
        );
        assert_eq!(masked("u = 'redis://h:6379/0'"), "u = 'redis://h:6379/0'");
        assert_eq!(
            masked("password = \"né\"\nx = 1"),
            "password = *****\nx = 1"
        );
        assert_eq!(
            masked("\"sentinel_password\"= 'a' "),
            "\"sentinel_password\"= ****"
        );
        assert_eq!(
            masked("password = '''\na\nb'''\nx"),
            "password = ***\n*\n****\nx"
        );
    }

    #[test]
    fn references_are_kept() {
        let kept = "password = \"${REDIS_PASSWORD}\"\nurl = \"mysql://u:${P}@h/d\"";
        assert_eq!(masked(kept), kept);
        let kept = "password = \"${file:${SECRETS}/${NAME}.txt}\"";
        assert_eq!(masked(kept), kept);
        for hidden in [
            "${P:-geheim}",
            "${file:${S}/p}x${S}",
            "${file:${S:-geheim}/p}",
            "${file:${S}",
            "${A}x${B}",
        ] {
            let stars = "*".repeat(hidden.len() + 2);
            assert_eq!(
                masked(&format!("password = \"{hidden}\"")),
                format!("password = {stars}")
            );
        }
    }
}
