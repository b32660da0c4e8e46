//! Lines of MONITOR: `1700000000.123456 [0 127.0.0.1:5000] "SET" "key" "value"`.

/// One executed command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Executed {
    /// The server's clock, seconds and microseconds as printed.
    pub(super) time: String,
    /// `ip:port`, `unix:path`, or `lua` for what a script called.
    pub(super) client: String,
    pub(super) words: Vec<Vec<u8>>,
}

/// `None` for lines that are no command (the `OK` at the beginning).
pub(super) fn parse(line: &[u8]) -> Option<Executed> {
    let text = line.strip_prefix(b"+")?;
    let open = text.iter().position(|byte| *byte == b'[')?;
    let close = open + text[open..].iter().position(|byte| *byte == b']')?;
    let time = std::str::from_utf8(&text[..open]).ok()?.trim().to_owned();
    let origin = std::str::from_utf8(&text[open + 1..close]).ok()?;
    let (_database, client) = origin.split_once(' ')?;
    Some(Executed {
        time,
        client: client.to_owned(),
        words: unquote(&text[close + 1..]),
    })
}

/// Undoes Redis's own quoting: `\"`, `\\`, `\n`, `\r`, `\t`, `\a`, `\b`, `\xHH`.
fn unquote(mut text: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    while let Some(start) = text.iter().position(|byte| *byte == b'"') {
        text = &text[start + 1..];
        let mut word = Vec::new();
        loop {
            match text {
                [b'\\', b'x', high, low, rest @ ..] => {
                    let digits = [*high, *low];
                    let digits = std::str::from_utf8(&digits).unwrap_or("00");
                    word.push(u8::from_str_radix(digits, 16).unwrap_or_default());
                    text = rest;
                }
                [b'\\', escaped, rest @ ..] => {
                    word.push(match escaped {
                        b'n' => b'\n',
                        b'r' => b'\r',
                        b't' => b'\t',
                        b'a' => 0x07,
                        b'b' => 0x08,
                        other => *other,
                    });
                    text = rest;
                }
                [b'"', rest @ ..] => {
                    text = rest;
                    break;
                }
                [byte, rest @ ..] => {
                    word.push(*byte);
                    text = rest;
                }
                [] => break,
            }
        }
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::parse;

    #[test]
    fn words_are_unquoted_as_redis_quotes_them() {
        let line = br#"+1.000002 [0 127.0.0.1:5] "SET" "a\"b" "x\\y\n\xff \x00[]" """#;
        let executed = parse(line).unwrap();
        assert_eq!(executed.client, "127.0.0.1:5");
        assert_eq!(executed.time, "1.000002");
        let expected: [&[u8]; 4] = [b"SET", b"a\"b", b"x\\y\n\xff \x00[]", b""];
        assert_eq!(executed.words, expected);
    }

    #[test]
    fn what_is_no_command_is_passed_over() {
        assert_eq!(parse(b"+OK"), None);
        assert_eq!(parse(b""), None);
    }

    #[test]
    fn a_script_names_itself() {
        assert_eq!(parse(br#"+2.0 [0 lua] "GET" "k""#).unwrap().client, "lua");
    }
}
