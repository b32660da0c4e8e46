//! Reads one parsed TOML table by the catalogue of its keys: unknown keys, wrong kinds and missing
//! keys are faults; what is left is handed out setting by setting, with its place.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::setting::{At, Reader, Setting, Text};
use crate::job::elements::word;
use crate::job::fault::Fault;
use crate::job::keys::{self, Kind, Table};

/// A table whose keys are known and of the right kind.
pub(in crate::job) struct Section<'t> {
    table: &'static Table,
    entries: BTreeMap<&'static str, Option<&'t Spanned<DeValue<'t>>>>,
    pub(in crate::job) span: Range<usize>,
}

/// A setting that may be a string or a table of its own.
pub(in crate::job) enum TextOrSection<'t> {
    Text(Text),
    Section(Section<'t>),
}

/// What stands under a name of the user's own choice.
pub(in crate::job) struct NamedItem<'t> {
    /// The name, as a text with its place.
    pub(in crate::job) name: Text,
    pub(in crate::job) value: At<TextOrSection<'t>>,
}

impl<'t> Section<'t> {
    /// Checks keys and kinds of `table`; `span` is what a missing key is shown at.
    pub(in crate::job) fn read(
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

    pub(in crate::job) fn text(&self, reader: &mut Reader<'_>, name: &str) -> Setting<Text> {
        self.with(name, |value| reader.text(value))
    }

    /// A string read by one of `elements`.
    pub(in crate::job) fn parsed<T>(
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
    pub(in crate::job) fn parsed_literal<T>(
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
    pub(in crate::job) fn word<T: Copy>(
        &self,
        reader: &mut Reader<'_>,
        name: &str,
        words: &[(&'static str, T)],
    ) -> Setting<At<T>> {
        let later = self
            .table
            .key(name)
            .map_or(&[][..], |key| key.kind.later_words());
        self.parsed(reader, name, |text| word::parse(text, name, words, later))
    }

    pub(in crate::job) fn boolean(&self, name: &str) -> Setting<At<bool>> {
        self.with(name, |value| match value.get_ref().as_bool() {
            Some(flag) => Setting::Given(At {
                value: flag,
                span: value.span(),
            }),
            None => Setting::Faulty,
        })
    }

    /// An integer within the bounds the catalogue gives it.
    pub(in crate::job) fn integer(&self, name: &str) -> Setting<At<i64>> {
        self.with(name, |value| match keys::integer(value.get_ref()) {
            Some(number) => Setting::Given(At {
                value: number,
                span: value.span(),
            }),
            None => Setting::Faulty,
        })
    }

    pub(in crate::job) fn number(&self, name: &str) -> Setting<At<f64>> {
        self.with(name, |value| match keys::number(value.get_ref()) {
            Some(number) => Setting::Given(At {
                value: number,
                span: value.span(),
            }),
            None => Setting::Faulty,
        })
    }

    /// A string or an array of strings, each after substitution.
    pub(in crate::job) fn texts(&self, reader: &mut Reader<'_>, name: &str) -> Setting<Vec<Text>> {
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

    pub(in crate::job) fn section(
        &self,
        reader: &mut Reader<'_>,
        name: &str,
    ) -> Setting<Section<'t>> {
        let inner = self.inner_table(name);
        self.with(name, |value| match value.get_ref().as_table() {
            Some(table) => Setting::Given(Section::read(reader, inner, table, value.span())),
            None => Setting::Faulty,
        })
    }

    /// The tables of an array, in file order.
    pub(in crate::job) fn sections(
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

    pub(in crate::job) fn text_or_section(
        &self,
        reader: &mut Reader<'_>,
        name: &str,
    ) -> Setting<At<TextOrSection<'t>>> {
        let inner = self.inner_table(name);
        self.with(name, |value| text_or_section(reader, value, Some(inner)))
    }

    /// A table whose keys are names: what stands under each, in file order. Only where the catalogue says
    /// so may that be a table. Every item of the wrong kind is a fault of its own.
    pub(in crate::job) fn by_name(
        &self,
        reader: &mut Reader<'_>,
        name: &str,
    ) -> Setting<Vec<NamedItem<'t>>> {
        let inner = self.table.key(name).and_then(|key| key.kind.table());
        let kind = inner.map_or(Kind::Text, Kind::TextOrTable);
        self.with(name, |value| {
            let Some(table) = value.get_ref().as_table() else {
                return Setting::Faulty;
            };
            let mut items: Vec<_> = table.iter().collect();
            items.sort_by_key(|(key, _)| key.span().start);
            let found: Vec<_> = items
                .iter()
                .filter_map(|(key, value)| {
                    let shown = format!("{name}.{}", key.get_ref());
                    if let Some(fault) = kind.refuses(&shown, key.span(), value) {
                        reader.fault(fault);
                        return None;
                    }
                    let name = Text {
                        value: key.get_ref().to_string(),
                        span: key.span(),
                        substituted: false,
                    };
                    match text_or_section(reader, value, inner) {
                        Setting::Given(value) => Some(NamedItem { name, value }),
                        Setting::Absent | Setting::Faulty => None,
                    }
                })
                .collect();
            if found.len() == items.len() {
                Setting::Given(found)
            } else {
                Setting::Faulty
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

/// A value of either kind; `inner` is what a table holds, where there may be one.
fn text_or_section<'t>(
    reader: &mut Reader<'_>,
    value: &'t Spanned<DeValue<'t>>,
    inner: Option<&'static Table>,
) -> Setting<At<TextOrSection<'t>>> {
    let span = value.span();
    if let (Some(table), Some(inner)) = (value.get_ref().as_table(), inner) {
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
