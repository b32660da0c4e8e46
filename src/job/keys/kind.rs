//! What a key may hold.

use std::ops::Range;

use toml::Spanned;
use toml::de::DeValue;

use crate::job::fault::Fault;

/// A table of the job file and the keys it knows.
pub(in crate::job) struct Table {
    /// How a message names it: `a [[cache]]`.
    pub(in crate::job) title: &'static str,
    pub(in crate::job) keys: &'static [Key],
}

pub(in crate::job) struct Key {
    pub(in crate::job) name: &'static str,
    pub(in crate::job) kind: Kind,
    pub(in crate::job) is_required: bool,
    /// What holds without it, as it would be written in the file.
    pub(in crate::job) default: Option<&'static str>,
    /// One phrase that reads after "is".
    pub(in crate::job) doc: &'static str,
}

/// What a value must look like before anybody reads it.
#[derive(Clone, Copy)]
pub(in crate::job) enum Kind {
    Text,
    /// An array of strings.
    Texts,
    TextOrTexts,
    /// One of `now`; `later` are words kept free for later additions.
    Words {
        now: &'static [&'static str],
        later: &'static [&'static str],
    },
    Boolean,
    Integer {
        least: i64,
        most: i64,
    },
    /// A number from 0 to 1.
    Share,
    /// An exact number, as a string or bare.
    Decimal,
    Duration,
    /// An integer of at least 1, or "unlimited".
    Rate,
    Table(&'static Table),
    Tables(&'static Table),
    TextOrTable(&'static Table),
    /// A table whose keys are names of the user's own, each with a string.
    TextByName,
    /// The same, each with a string or a table.
    TextOrTableByName(&'static Table),
    /// A setting this version does not have yet: refused, never ignored.
    Later,
}

impl Table {
    pub(in crate::job) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

impl Key {
    pub(super) const fn new(name: &'static str, kind: Kind, doc: &'static str) -> Self {
        Self {
            name,
            kind,
            is_required: false,
            default: None,
            doc,
        }
    }

    pub(super) const fn required(mut self) -> Self {
        self.is_required = true;
        self
    }

    pub(super) const fn or(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }

    pub(super) const fn later(name: &'static str, doc: &'static str) -> Self {
        Self::new(name, Kind::Later, doc)
    }
}

impl Kind {
    /// What is wrong with `value`, if it is not of this kind.
    pub(in crate::job) fn refuses(
        self,
        name: &str,
        name_span: Range<usize>,
        value: &Spanned<DeValue<'_>>,
    ) -> Option<Fault> {
        if matches!(self, Kind::Later) {
            return Some(
                Fault::new(name_span, format!("`{name}` is not supported yet"))
                    .hint("take it out: nothing in a job file is ever ignored"),
            );
        }
        let inner = value.get_ref();
        if self.takes(inner) {
            return None;
        }
        // An array is blamed at its first wrong item, an empty one as a whole.
        let wrong = match (self, inner) {
            (Kind::Texts | Kind::TextOrTexts, DeValue::Array(items)) => items
                .iter()
                .find(|item| !item.get_ref().is_str())
                .unwrap_or(value),
            (Kind::Tables(_), DeValue::Array(items)) => items
                .iter()
                .find(|item| !item.get_ref().is_table())
                .unwrap_or(value),
            _ => value,
        };
        let found = match (self, wrong.get_ref()) {
            (Kind::Integer { .. } | Kind::Rate, DeValue::Integer(number)) => number.to_string(),
            (Kind::Share, DeValue::Integer(number)) => number.to_string(),
            (Kind::Share, DeValue::Float(number)) => number.to_string(),
            (_, other) => article(other.type_str()),
        };
        Some(Fault::new(
            wrong.span(),
            format!("`{name}` must be {}, not {found}", self.expected()),
        ))
    }

    /// The table that lies under a key of this kind.
    pub(in crate::job) fn table(self) -> Option<&'static Table> {
        match self {
            Kind::Table(table)
            | Kind::Tables(table)
            | Kind::TextOrTable(table)
            | Kind::TextOrTableByName(table) => Some(table),
            _ => None,
        }
    }

    pub(in crate::job) fn later_words(self) -> &'static [&'static str] {
        match self {
            Kind::Words { later, .. } => later,
            _ => &[],
        }
    }

    /// The kind in words, for messages and for the list of settings.
    pub(in crate::job) fn expected(self) -> String {
        match self {
            Kind::Text => "a string".to_owned(),
            Kind::Texts => "an array of strings".to_owned(),
            Kind::TextOrTexts => "a string or an array of strings".to_owned(),
            Kind::Words { now, .. } => {
                let words: Vec<_> = now.iter().map(|word| format!("\"{word}\"")).collect();
                format!("one of {}", words.join(", "))
            }
            Kind::Boolean => "true or false".to_owned(),
            Kind::Integer {
                least,
                most: i64::MAX,
            } => format!("an integer of at least {least}"),
            Kind::Integer { least, most } => format!("an integer from {least} to {most}"),
            Kind::Share => "a number from 0 to 1".to_owned(),
            Kind::Decimal => "a number, best in quotes: \"0.01\"".to_owned(),
            Kind::Duration => "a duration in quotes: \"2s\", \"30m\", \"1h\"".to_owned(),
            Kind::Rate => "an integer of at least 1, or \"unlimited\"".to_owned(),
            Kind::Table(_) => "a table".to_owned(),
            Kind::Tables(_) => "an array of tables".to_owned(),
            Kind::TextOrTable(_) => "a string or a table".to_owned(),
            Kind::TextByName => "a table of strings".to_owned(),
            Kind::TextOrTableByName(_) => "a table of strings and tables".to_owned(),
            Kind::Later => "nothing yet".to_owned(),
        }
    }

    fn takes(self, value: &DeValue<'_>) -> bool {
        match self {
            Kind::Text | Kind::Words { .. } | Kind::Duration => value.is_str(),
            Kind::Texts => is_array_of(value, |item| item.is_str()),
            Kind::TextOrTexts => value.is_str() || is_array_of(value, |item| item.is_str()),
            Kind::Boolean => value.is_bool(),
            Kind::Integer { least, most } => {
                integer(value).is_some_and(|number| (least..=most).contains(&number))
            }
            Kind::Share => number(value).is_some_and(|number| (0.0..=1.0).contains(&number)),
            Kind::Decimal => value.is_str() || value.is_integer() || value.is_float(),
            Kind::Rate => value.is_str() || integer(value).is_some_and(|number| number >= 1),
            // What is under each name is looked at one by one.
            Kind::Table(_) | Kind::TextByName | Kind::TextOrTableByName(_) => value.is_table(),
            Kind::Tables(_) => is_array_of(value, |item| item.is_table()),
            Kind::TextOrTable(_) => value.is_str() || value.is_table(),
            Kind::Later => false,
        }
    }
}

/// The integer a TOML value holds, if it fits 64 bits.
pub(in crate::job) fn integer(value: &DeValue<'_>) -> Option<i64> {
    let number = value.as_integer()?;
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// The number a TOML value holds, integers included.
pub(in crate::job) fn number(value: &DeValue<'_>) -> Option<f64> {
    match value {
        DeValue::Float(number) => number.as_str().parse().ok(),
        DeValue::Integer(number) => number.as_str().parse().ok(),
        _ => None,
    }
}

fn is_array_of(value: &DeValue<'_>, is_item: impl Fn(&DeValue<'_>) -> bool) -> bool {
    value
        .as_array()
        .is_some_and(|items| items.iter().all(|item| is_item(item.get_ref())))
}

fn article(kind: &str) -> String {
    match kind {
        "integer" | "array" => format!("an {kind}"),
        _ => format!("a {kind}"),
    }
}
