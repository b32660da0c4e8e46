//! The tokens of a document, each checked as it is passed.

use super::{DEPTH_MAX, JsonKind, JsonToken};

/// Why a document cannot be read. Never holds a value: only where, and names from the job file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonFault {
    #[error("it is not UTF-8 from byte {0} on")]
    NotUtf8(usize),
    #[error("it ends in the middle of a value")]
    Unfinished,
    #[error("byte {0} is not JSON")]
    Unexpected(usize),
    #[error("a string at byte {0} holds half a surrogate pair")]
    LoneSurrogate(usize),
    #[error("it is nested more than {DEPTH_MAX} deep")]
    TooDeep,
    #[error("a member at byte {0} occurs twice")]
    Duplicate(usize),
}

/// A position in a document known to be UTF-8.
pub(super) struct Lexer<'a> {
    pub(super) text: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a [u8]) -> Result<Self, JsonFault> {
        match std::str::from_utf8(text) {
            Ok(_) => Ok(Self { text, at: 0 }),
            Err(error) => Err(JsonFault::NotUtf8(error.valid_up_to())),
        }
    }

    pub(super) fn skip_space(&mut self) {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// The next byte that is not space, left where it is.
    pub(super) fn peek(&mut self) -> Result<u8, JsonFault> {
        self.skip_space();
        self.text.get(self.at).copied().ok_or(JsonFault::Unfinished)
    }

    pub(super) fn expect(&mut self, byte: u8) -> Result<(), JsonFault> {
        if self.peek()? != byte {
            return Err(JsonFault::Unexpected(self.at));
        }
        self.at += 1;
        Ok(())
    }

    /// Passes `byte` if it comes next.
    pub(super) fn take(&mut self, byte: u8) -> Result<bool, JsonFault> {
        let is_next = self.peek()? == byte;
        self.at += usize::from(is_next);
        Ok(is_next)
    }

    /// After a value in a container: true for a comma, false for `close`.
    pub(super) fn goes_on(&mut self, close: u8) -> Result<bool, JsonFault> {
        match self.peek()? {
            b',' => {
                self.at += 1;
                Ok(true)
            }
            byte if byte == close => {
                self.at += 1;
                Ok(false)
            }
            _ => Err(JsonFault::Unexpected(self.at)),
        }
    }

    /// Nothing but space may be left.
    pub(super) fn finish(&mut self) -> Result<(), JsonFault> {
        self.skip_space();
        if self.at == self.text.len() {
            Ok(())
        } else {
            Err(JsonFault::Unexpected(self.at))
        }
    }

    /// A string, number, true, false or null.
    pub(super) fn scalar(&mut self) -> Result<JsonToken<'a>, JsonFault> {
        let first = self.peek()?;
        let start = self.at;
        let kind = match first {
            b'"' => return self.string(),
            b'-' | b'0'..=b'9' => self.number().map(|()| JsonKind::Number)?,
            b't' => self.word(b"true").map(|()| JsonKind::Bool)?,
            b'f' => self.word(b"false").map(|()| JsonKind::Bool)?,
            b'n' => self.word(b"null").map(|()| JsonKind::Null)?,
            _ => return Err(JsonFault::Unexpected(start)),
        };
        Ok(JsonToken {
            kind,
            raw: &self.text[start..self.at],
        })
    }

    pub(super) fn string(&mut self) -> Result<JsonToken<'a>, JsonFault> {
        self.expect(b'"')?;
        let start = self.at - 1;
        let mut is_escaped = false;
        loop {
            match self.text.get(self.at) {
                None => return Err(JsonFault::Unfinished),
                Some(b'"') => break,
                Some(b'\\') => {
                    is_escaped = true;
                    self.escape()?;
                }
                Some(0..=0x1F) => return Err(JsonFault::Unexpected(self.at)),
                Some(_) => self.at += 1,
            }
        }
        self.at += 1;
        Ok(JsonToken {
            kind: JsonKind::String { is_escaped },
            raw: &self.text[start..self.at],
        })
    }

    fn escape(&mut self) -> Result<(), JsonFault> {
        let start = self.at;
        match self.text.get(start + 1) {
            None => Err(JsonFault::Unfinished),
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => match self.unit(start)? {
                0xD800..=0xDBFF => {
                    let is_pair = self.text[start + 6..].starts_with(b"\\u")
                        && matches!(self.unit(start + 6)?, 0xDC00..=0xDFFF);
                    if !is_pair {
                        return Err(JsonFault::LoneSurrogate(start));
                    }
                    self.at += 12;
                    Ok(())
                }
                0xDC00..=0xDFFF => Err(JsonFault::LoneSurrogate(start)),
                _ => {
                    self.at += 6;
                    Ok(())
                }
            },
            Some(_) => Err(JsonFault::Unexpected(start + 1)),
        }
    }

    /// The four digits of `\uXXXX` that begins at `start`.
    fn unit(&self, start: usize) -> Result<u32, JsonFault> {
        let digits = self
            .text
            .get(start + 2..start + 6)
            .ok_or(JsonFault::Unfinished)?;
        digits.iter().try_fold(0, |unit, digit| {
            let digit = char::from(*digit)
                .to_digit(16)
                .ok_or(JsonFault::Unexpected(start + 2))?;
            Ok(unit * 16 + digit)
        })
    }

    fn number(&mut self) -> Result<(), JsonFault> {
        self.at += usize::from(self.text[self.at] == b'-');
        match self.text.get(self.at) {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.text.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.text.get(self.at), Some(b'+' | b'-')));
            self.digits()?;
        }
        Ok(())
    }

    /// One digit at least.
    fn digits(&mut self) -> Result<(), JsonFault> {
        let start = self.at;
        while self.text.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        match (self.at > start, self.text.get(self.at)) {
            (true, _) => Ok(()),
            (false, None) => Err(JsonFault::Unfinished),
            (false, Some(_)) => Err(JsonFault::Unexpected(self.at)),
        }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), JsonFault> {
        if !self.text[self.at..].starts_with(word) {
            return Err(JsonFault::Unexpected(self.at));
        }
        self.at += word.len();
        Ok(())
    }
}
