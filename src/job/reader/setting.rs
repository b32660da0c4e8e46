//! A setting's value and its place.

use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::DeValue;

use crate::job::fault::Fault;
use crate::job::substitute::{self, Surroundings};
use crate::model::check::Named;

/// A value and where it stood.
#[derive(Debug, Clone)]
pub(in crate::job) struct At<T> {
    pub(in crate::job) value: T,
    pub(in crate::job) span: Range<usize>,
}

/// A string after substitution.
#[derive(Debug, Clone)]
pub(in crate::job) struct Text {
    pub(in crate::job) value: String,
    pub(in crate::job) span: Range<usize>,
    /// Part of it came from the environment or a mounted file, so that no fault may repeat it.
    pub(in crate::job) substituted: bool,
}

/// One key of a table. `Faulty`: it was given, and a fault says what is wrong with it, so that
/// nobody complains a second time that it is missing.
#[derive(Debug, Clone)]
pub(in crate::job) enum Setting<T> {
    Absent,
    Faulty,
    Given(T),
}

/// What reading needs and gathers: the job file's surroundings and the faults so far.
pub(in crate::job) struct Reader<'e> {
    pub(in crate::job) surroundings: Surroundings<'e>,
    pub(in crate::job) faults: Vec<Fault>,
    /// Every SQL file the job names, as it names it, with its text.
    pub(in crate::job) sql_files: Vec<(String, String)>,
    /// A file that does not parse has lost keys: none is then called missing.
    pub(in crate::job) is_whole: bool,
}

impl Text {
    /// The value for a message; hidden when it may hold a secret.
    pub(in crate::job) fn shown(&self) -> String {
        if self.substituted {
            "the substituted value".to_owned()
        } else {
            format!("`{}`", self.value)
        }
    }

    pub(in crate::job) fn fault(&self, message: impl Into<String>) -> Fault {
        Fault::new(self.span.clone(), message)
    }

    pub(in crate::job) fn named(&self) -> Named {
        Named {
            text: self.value.clone(),
            span: self.span.clone(),
        }
    }
}

impl<T> Setting<T> {
    pub(in crate::job) fn given(&self) -> Option<&T> {
        match self {
            Setting::Given(value) => Some(value),
            Setting::Absent | Setting::Faulty => None,
        }
    }

    pub(in crate::job) fn is_absent(&self) -> bool {
        matches!(self, Setting::Absent)
    }

    pub(in crate::job) fn from_result(result: Result<T, Fault>, reader: &mut Reader<'_>) -> Self {
        match result {
            Ok(value) => Setting::Given(value),
            Err(fault) => {
                reader.faults.push(fault);
                Setting::Faulty
            }
        }
    }
}

impl<T: Clone> Setting<At<T>> {
    /// The value, or what holds without it. A faulty setting gives the default too: its fault
    /// already stops the job.
    pub(in crate::job) fn or(&self, default: T) -> T {
        self.given().map_or(default, |at| at.value.clone())
    }

    pub(in crate::job) fn value(&self) -> Option<T> {
        self.given().map(|at| at.value.clone())
    }
}

impl<'e> Reader<'e> {
    pub(in crate::job) fn new(
        folder: &'e Path,
        environment: &'e dyn Fn(&str) -> Option<String>,
    ) -> Self {
        Self {
            surroundings: Surroundings {
                folder,
                environment,
            },
            faults: Vec::new(),
            sql_files: Vec::new(),
            is_whole: true,
        }
    }

    pub(in crate::job) fn fault(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    pub(super) fn text(&mut self, value: &Spanned<DeValue<'_>>) -> Setting<Text> {
        let raw = value.get_ref().as_str().unwrap_or_default();
        let span = value.span();
        match substitute::substitute(raw, &self.surroundings) {
            Ok(value) => Setting::Given(Text {
                substituted: raw.contains("${"),
                value,
                span,
            }),
            Err(problem) => {
                self.faults
                    .push(Fault::new(span, problem.message).hint(problem.hint));
                Setting::Faulty
            }
        }
    }
}
