//! A mapped field, or the score of a sorted set.

use std::ops::Range;

use bigdecimal::BigDecimal;
use chrono_tz::Tz;

use crate::job::elements::{decimal, source_name, word, zone};
use crate::job::reader::{At, Reader, Section, Setting, Text};
use crate::model::check::{Compare, Form, Named};

pub(in crate::job) struct RawField {
    pub(in crate::job) span: Range<usize>,
    pub(in crate::job) cache: Setting<Text>,
    pub(in crate::job) column: Setting<At<Named>>,
    pub(in crate::job) form: Setting<At<Form>>,
    pub(in crate::job) time_zone: Setting<At<Tz>>,
    pub(in crate::job) compare: Setting<At<Compare>>,
    pub(in crate::job) states: Setting<Vec<Text>>,
    pub(in crate::job) tolerance: Setting<At<BigDecimal>>,
    pub(in crate::job) scale: Setting<At<i64>>,
    pub(in crate::job) min: Setting<At<BigDecimal>>,
    pub(in crate::job) max: Setting<At<BigDecimal>>,
    pub(in crate::job) null: Setting<Text>,
    pub(in crate::job) follows: Setting<Text>,
    pub(in crate::job) balance: Setting<At<bool>>,
    pub(in crate::job) redact: Setting<At<bool>>,
}

impl RawField {
    /// A column of which nothing else is said.
    pub(super) fn none(span: Range<usize>, column: Setting<At<Named>>) -> Self {
        Self {
            span,
            cache: Setting::Absent,
            column,
            form: Setting::Absent,
            time_zone: Setting::Absent,
            compare: Setting::Absent,
            states: Setting::Absent,
            tolerance: Setting::Absent,
            scale: Setting::Absent,
            min: Setting::Absent,
            max: Setting::Absent,
            null: Setting::Absent,
            follows: Setting::Absent,
            balance: Setting::Absent,
            redact: Setting::Absent,
        }
    }

    pub(in crate::job) fn read(reader: &mut Reader<'_>, section: &Section<'_>) -> Self {
        Self {
            cache: section.text(reader, "cache"),
            states: section.texts(reader, "states"),
            null: section.text(reader, "null"),
            follows: section.text(reader, "follows"),
            ..Self::read_score(reader, section)
        }
    }

    /// What a score has of a field.
    pub(in crate::job) fn read_score(reader: &mut Reader<'_>, section: &Section<'_>) -> Self {
        Self {
            span: section.span.clone(),
            cache: Setting::Absent,
            column: section.parsed(reader, "column", source_name::column),
            form: section.word(reader, "as", &word::FORM),
            time_zone: section.parsed(reader, "time_zone", zone::parse),
            compare: section.word(reader, "compare", &word::COMPARE),
            states: Setting::Absent,
            tolerance: section.parsed_literal(reader, "tolerance", decimal::parse_not_negative),
            scale: section.integer("scale"),
            min: section.parsed_literal(reader, "min", decimal::parse),
            max: section.parsed_literal(reader, "max", decimal::parse),
            null: Setting::Absent,
            follows: Setting::Absent,
            balance: section.boolean("balance"),
            redact: section.boolean("redact"),
        }
    }
}
