//! The question before a write.

use std::io::{BufRead, Write};

use indicatif::MultiProgress;

use crate::run::request::Confirm;

/// Asks on stderr, reads the answer from stdin.
pub(super) struct TerminalConfirm {
    bars: MultiProgress,
}

impl TerminalConfirm {
    pub(super) fn new(bars: MultiProgress) -> Self {
        Self { bars }
    }
}

impl Confirm for TerminalConfirm {
    fn confirm(&self, question: &str) -> bool {
        self.bars.suspend(|| {
            ask(
                question,
                &mut std::io::stdin().lock(),
                &mut std::io::stderr().lock(),
            )
        })
    }
}

/// Nobody is there to be asked, and no answer is no.
pub(super) struct NobodyConfirms;

impl Confirm for NobodyConfirms {
    fn confirm(&self, _question: &str) -> bool {
        false
    }
}

/// `y` or `yes` is yes; anything else, no line at all, or an error is no.
fn ask(question: &str, answer: &mut dyn BufRead, out: &mut dyn Write) -> bool {
    let mut line = String::new();
    let asked = write!(out, "{question} [y/N] ").and_then(|()| out.flush());
    let answered = asked.and_then(|()| answer.read_line(&mut line));
    answered.is_ok() && matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_a_yes() {
        for (answer, expected) in [
            ("y\n", true),
            ("Yes\n", true),
            ("  yes  \n", true),
            ("\n", false),
            ("", false),
            ("n\n", false),
            ("yes please\n", false),
            ("\u{ff}\n", false),
        ] {
            let mut out = Vec::new();
            assert_eq!(
                ask("Repair 7 keys?", &mut answer.as_bytes(), &mut out),
                expected,
                "{answer:?}"
            );
            assert_eq!(out, b"Repair 7 keys? [y/N] ");
        }
        assert!(!ask("?", &mut b"\xff\n".as_slice(), &mut Vec::new()));
        assert!(!NobodyConfirms.confirm("?"));
    }
}
