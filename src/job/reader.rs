//! Reads one parsed TOML table by the catalogue of its keys: unknown keys, wrong kinds and missing
//! keys are faults; what is left is handed out setting by setting, with its place.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::Fault;
use super::keys::{Kind, Table};
use super::substitute::{self, Surroundings};
use crate::model::check::Named;

/// A value and where it stood.
#[derive(Debug, Clone)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) span: Range<usize>,
}

/// A string after substitution.
#[derive(Debug, Clone)]
pub(super) struct Text {
    pub(super) value: String,
    pub(super) span: Range<usize>,
    /// Part of it came from the environment or a mounted file, so that no fault may repeat it.
    pub(super) substituted: bool,
}

/// One key of a table. `Faulty`: it was given, and a fault says what is wrong with it, so that
/// nobody complains a second time that it is missing.
#[derive(Debug, Clone)]
pub(super) enum Setting<T> {
    Absent,
    Faulty,
    Given(T),
}

/// What reading needs and gathers: the job file's surroundings and the faults so far.
pub(super) struct Reader<'e> {
    pub(super) surroundings: Surroundings<'e>,
    pub(super) faults: Vec<Fault>,
    /// Every SQL file the job names, as it names it, with its text.
    pub(super) sql_files: Vec<(String, String)>,
    /// A file that does not parse has lost keys: none is then called missing.
    pub(super) is_whole: bool,
}

/// A table whose keys are known and of the right kind.
pub(super) struct Section<'t> {
    table: &'static Table,
    entries: BTreeMap<&'static str, Option<&'t Spanned<DeValue<'t>>>>,
    pub(super) span: Range<usize>,
}

/// A setting that may be a string or a table of its own.
pub(super) enum TextOrSection<'t> {
    Text(Text),
    Section(Section<'t>),
}

impl Text {
    /// The value for a message; hidden when it may hold a secret.
    pub(super) fn shown(&self) -> String {
        if self.substituted {
            "the substituted value".to_owned()
        } else {
            format!("`{}`", self.value)
        }
    }

    pub(super) fn fault(&self, message: impl Into<String>) -> Fault {
        Fault::new(self.span.clone(), message)
    }

    pub(super) fn named(&self) -> Named {
        Named {
            text: self.value.clone(),
            span: self.span.clone(),
        }
    }
}

impl<T> Setting<T> {
    pub(super) fn given(&self) -> Option<&T> {
        match self {
            Setting::Given(value) => Some(value),
            Setting::Absent | Setting::Faulty => None,
        }
    }

    pub(super) fn is_absent(&self) -> bool {
        matches!(self, Setting::Absent)
    }

    fn from_result(result: Result<T, Fault>, reader: &mut Reader<'_>) -> Self {
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
    pub(super) fn or(&self, default: T) -> T {
        self.given().map_or(default, |at| at.value.clone())
    }

    pub(super) fn value(&self) -> Option<T> {
        self.given().map(|at| at.value.clone())
    }
}

impl<'e> Reader<'e> {
    pub(super) fn new(folder: &'e Path, environment: &'e dyn Fn(&str) -> Option<String>) -> Self {
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

    pub(super) fn fault(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    fn text(&mut self, value: &Spanned<DeValue<'_>>) -> Setting<Text> {
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

impl<'t> Section<'t> {
    /// Checks keys and kinds of `table`; `span` is what a missing key is shown at.
    pub(super) fn read(
        reader: &mut Reader<'_>,
        catalogue: &'static Table,
        table: &'t DeTable<'t>,
        span: Range<usize>,
    ) -> Self {
        let mut entries = BTreeMap::new();
        for (name, value) in table {
            let Some(key) = catalogue.key(name.get_ref()) else {
                reader.fault(unknown_key(catalogue, name));
                continue;
            };
            if let Some(fault) = key.kind.refuses(key.name, name.span(), value) {
                reader.fault(fault);
                entries.insert(key.name, None);
            } else {
                entries.insert(key.name, Some(value));
            }
        }
        for key in catalogue.keys.iter().filter(|key| key.is_required) {
            if !entries.contains_key(key.name) && reader.is_whole {
                reader.fault(
                    Fault::new(
                        span.clone(),
                        format!("{} has no `{}`", catalogue.title, key.name),
                    )
                    .hint(format!("`{}` is {}", key.name, key.doc)),
                );
                entries.insert(key.name, None);
            }
        }
        Self {
            table: catalogue,
            entries,
            span,
        }
    }

    pub(super) fn text(&self, reader: &mut Reader<'_>, name: &str) -> Setting<Text> {
        self.with(name, |value| reader.text(value))
    }

    /// A string read by one of `elements`.
    pub(super) fn parsed<T>(
        &self,
        reader: &mut Reader<'_>,
        name: &str,
        parse: impl FnOnce(&Text) -> Result<T, Fault>,
    ) -> Setting<At<T>> {
        match self.text(reader, name) {
            Setting::Given(text) => {
                let result = parse(&text).map(|value| At {
                    value,
                    span: text.span.clone(),
                });
                Setting::from_result(result, reader)
            }
            Setting::Faulty => Setting::Faulty,
            Setting::Absent => Setting::Absent,
        }
    }

    /// A string, or a number as it was written, read by one of `elements`.
    pub(super) fn parsed_literal<T>(
        &self,
        reader: &mut Reader<'_>,
        name: &str,
        parse: impl FnOnce(&Text) -> Result<T, Fault>,
    ) -> Setting<At<T>> {
        self.with(name, |value| {
            let literal = match value.get_ref() {
                DeValue::Integer(number) => number.to_string(),
                DeValue::Float(number) => number.to_string(),
                _ => return self.parsed(reader, name, parse),
            };
            let text = Text {
                value: literal,
                span: value.span(),
                substituted: false,
            };
            let result = parse(&text).map(|value| At {
                value,
                span: text.span.clone(),
            });
            Setting::from_result(result, reader)
        })
    }

    /// A string that is one of `words`.
    pub(super) fn word<T: Copy>(
        &self,
        reader: &mut Reader<'_>,
        name: &str,
        words: &[(&'static str, T)],
    ) -> Setting<At<T>> {
        let later = self
            .table
            .key(name)
            .map_or(&[][..], |key| key.kind.later_words());
        self.parsed(reader, name, |text| {
            super::elements::word::parse(text, name, words, later)
        })
    }

    pub(super) fn boolean(&self, name: &str) -> Setting<At<bool>> {
        self.with(name, |value| match value.get_ref().as_bool() {
            Some(flag) => Setting::Given(At {
                value: flag,
                span: value.span(),
            }),
            None => Setting::Faulty,
        })
    }

    /// An integer within the bounds the catalogue gives it.
    pub(super) fn integer(&self, name: &str) -> Setting<At<i64>> {
        self.with(name, |value| match super::keys::integer(value.get_ref()) {
            Some(number) => Setting::Given(At {
                value: number,
                span: value.span(),
            }),
            None => Setting::Faulty,
        })
    }

    pub(super) fn number(&self, name: &str) -> Setting<At<f64>> {
        self.with(name, |value| match super::keys::number(value.get_ref()) {
            Some(number) => Setting::Given(At {
                value: number,
                span: value.span(),
            }),
            None => Setting::Faulty,
        })
    }

    /// A string or an array of strings, each after substitution.
    pub(super) fn texts(&self, reader: &mut Reader<'_>, name: &str) -> Setting<Vec<Text>> {
        self.with(name, |value| {
            let items: Vec<_> = match value.get_ref() {
                DeValue::Array(items) => items.iter().collect(),
                _ => vec![value],
            };
            let count = items.len();
            let texts: Vec<Text> = items
                .into_iter()
                .filter_map(|item| match reader.text(item) {
                    Setting::Given(text) => Some(text),
                    Setting::Absent | Setting::Faulty => None,
                })
                .collect();
            if texts.len() == count {
                Setting::Given(texts)
            } else {
                Setting::Faulty
            }
        })
    }

    pub(super) fn section(&self, reader: &mut Reader<'_>, name: &str) -> Setting<Section<'t>> {
        let inner = self.inner_table(name);
        self.with(name, |value| match value.get_ref().as_table() {
            Some(table) => Setting::Given(Section::read(reader, inner, table, value.span())),
            None => Setting::Faulty,
        })
    }

    /// The tables of an array, in file order.
    pub(super) fn sections(
        &self,
        reader: &mut Reader<'_>,
        name: &str,
    ) -> Setting<Vec<Section<'t>>> {
        let inner = self.inner_table(name);
        self.with(name, |value| {
            Setting::Given(
                value
                    .get_ref()
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(|item| {
                        let table = item.get_ref().as_table()?;
                        Some(Section::read(reader, inner, table, item.span()))
                    })
                    .collect(),
            )
        })
    }

    pub(super) fn text_or_section(
        &self,
        reader: &mut Reader<'_>,
        name: &str,
    ) -> Setting<At<TextOrSection<'t>>> {
        let inner = self.inner_table(name);
        self.with(name, |value| {
            let span = value.span();
            if let Some(table) = value.get_ref().as_table() {
                let section = Section::read(reader, inner, table, span.clone());
                return Setting::Given(At {
                    value: TextOrSection::Section(section),
                    span,
                });
            }
            match reader.text(value) {
                Setting::Given(text) => Setting::Given(At {
                    value: TextOrSection::Text(text),
                    span,
                }),
                Setting::Absent | Setting::Faulty => Setting::Faulty,
            }
        })
    }

    fn with<T>(
        &self,
        name: &str,
        read: impl FnOnce(&'t Spanned<DeValue<'t>>) -> Setting<T>,
    ) -> Setting<T> {
        debug_assert!(
            self.table.key(name).is_some(),
            "{name} is not in the catalogue"
        );
        match self.entries.get(name) {
            None => Setting::Absent,
            Some(None) => Setting::Faulty,
            Some(Some(value)) => read(value),
        }
    }

    fn inner_table(&self, name: &str) -> &'static Table {
        self.table
            .key(name)
            .and_then(|key| key.kind.table())
            .expect("the catalogue says which table lies under this key")
    }
}

/// A fault that names the nearest key there is.
fn unknown_key(catalogue: &'static Table, name: &Spanned<std::borrow::Cow<'_, str>>) -> Fault {
    let fault = Fault::new(
        name.span(),
        format!("unknown key `{}` in {}", name.get_ref(), catalogue.title),
    );
    let nearest = catalogue
        .keys
        .iter()
        .filter(|key| !matches!(key.kind, Kind::Later))
        .map(|key| (strsim::jaro_winkler(name.get_ref(), key.name), key.name))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest {
        Some((likeness, nearest)) if likeness > NEAR => {
            fault.hint(format!("did you mean `{nearest}`?"))
        }
        _ => {
            let known: Vec<_> = catalogue
                .keys
                .iter()
                .filter(|key| !matches!(key.kind, Kind::Later))
                .map(|key| key.name)
                .collect();
            fault.hint(format!("known keys: {}", known.join(", ")))
        }
    }
}

/// Above this likeness a key is taken for a misspelling of another.
const NEAR: f64 = 0.8;
