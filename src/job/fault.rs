//! What is wrong with a job file, all of it at once, each at its place.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use super::mask::masked;

/// One thing that is wrong. `span` is a byte range of the job file's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub message: String,
    pub span: Range<usize>,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Everything that is wrong with one job file. `Display` shows each fault with file, line, column,
/// the line itself and a hint, as rustc does, without colour; passwords in those lines are masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobFaults {
    path: PathBuf,
    text: Arc<str>,
    faults: Vec<Fault>,
}

impl Fault {
    pub fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            span,
            hint: None,
        }
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl JobFaults {
    /// `text` is the job file's text, masked or not; `faults` are shown in the order of their lines.
    pub fn new(path: &Path, text: &str, mut faults: Vec<Fault>) -> Self {
        let text: Arc<str> = masked(text).into();
        for fault in &mut faults {
            fault.span = clipped(&text, &fault.span);
        }
        faults.sort_by_key(|f| (f.span.start, f.span.end));
        faults.dedup();
        Self {
            path: path.to_owned(),
            text,
            faults,
        }
    }

    /// The job file, as it was named on the command line.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The job file's text with passwords masked; as long as the file, so that spans hold.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// In the order of their lines.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// Line and column of a fault, both from 1, columns in characters.
    pub fn position(&self, fault: &Fault) -> (usize, usize) {
        let before = &self.text[..fault.span.start];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (
            before.matches('\n').count() + 1,
            before[line_start..].chars().count() + 1,
        )
    }

    fn write_fault(&self, f: &mut fmt::Formatter<'_>, fault: &Fault) -> fmt::Result {
        let path = self.path.to_string_lossy();
        if self.text.is_empty() {
            write!(f, "error: {}\n --> {path}", fault.message)?;
            return fault
                .hint
                .iter()
                .try_for_each(|hint| write!(f, "\n  = help: {hint}"));
        }
        let snippet = Snippet::source(self.text.as_ref())
            .path(path.as_ref())
            .annotation(AnnotationKind::Primary.span(fault.span.clone()));
        let mut group = Level::ERROR
            .primary_title(fault.message.as_str())
            .element(snippet);
        if let Some(hint) = &fault.hint {
            group = group.element(Level::HELP.message(hint.as_str()));
        }
        let renderer = Renderer::plain().decor_style(DecorStyle::Ascii);
        f.write_str(&renderer.render(&[group]))
    }
}

impl fmt::Display for JobFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in &self.faults {
            self.write_fault(f, fault)?;
            f.write_str("\n\n")?;
        }
        let path = self.path.to_string_lossy();
        match self.faults.len() {
            1 => write!(f, "{path} has 1 fault; nothing was judged or written"),
            count => write!(
                f,
                "{path} has {count} faults; nothing was judged or written"
            ),
        }
    }
}

impl std::error::Error for JobFaults {}

/// `span` cut to the text, on character boundaries and within one line: a fault of a whole table is
/// shown at its first line.
fn clipped(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(span.start.min(text.len()));
    let end = text.ceil_char_boundary(span.end.clamp(start, text.len()));
    match text[start..end].find('\n') {
        Some(line_end) if line_end > 0 => start..start + line_end,
        _ => start..end,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn every_fault_is_shown_with_its_line_and_hint() {
        let text = "name = \"a\"\nlasy = true\n";
        let faults = JobFaults::new(
            Path::new("jobs/a.toml"),
            text,
            vec![
                Fault::new(11..15, "unknown key `lasy`").hint("did you mean `lazy`?"),
                Fault::new(7..10, "the name is taken"),
            ],
        );
        let shown = faults.to_string();
        let first = shown.find("error: the name is taken").unwrap();
        let second = shown.find("error: unknown key `lasy`").unwrap();
        assert!(first < second);
        assert!(shown.contains("jobs/a.toml:2:1"), "{shown}");
        assert!(shown.contains("lasy = true"));
        assert!(shown.contains("help: did you mean `lazy`?"));
        assert!(shown.ends_with("jobs/a.toml has 2 faults; nothing was judged or written"));
        assert!(!shown.contains('\u{1b}'));
    }

    #[test]
    fn a_span_past_the_text_does_no_harm() {
        let faults = JobFaults::new(Path::new("a"), "né", vec![Fault::new(2..90, "x")]);
        assert_eq!(faults.position(&faults.faults()[0]), (1, 2));
        assert!(faults.to_string().contains("error: x"));
        let empty = JobFaults::new(
            Path::new("a"),
            "",
            vec![Fault::new(0..0, "gone").hint("look")],
        );
        assert!(
            empty
                .to_string()
                .contains("error: gone\n --> a\n  = help: look")
        );
    }

    #[test]
    fn a_password_in_a_faulty_line_is_not_shown() {
        let text = "url = \"mysql://root:hunter2@h/d\"\npassword = 'swordfish'\n";
        let faults = JobFaults::new(
            Path::new("a"),
            text,
            vec![Fault::new(0..3, "x"), Fault::new(33..41, "y")],
        );
        let shown = format!("{faults} {faults:?}");
        assert!(
            !shown.contains("hunter2") && !shown.contains("swordfish"),
            "{shown}"
        );
    }
}
