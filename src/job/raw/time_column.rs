//! A setting that is a column with an instant in it.

use crate::job::elements::{source_name, word, zone};
use crate::job::fault::Fault;
use crate::job::reader::{At, Reader, Section, Setting, TextOrSection};
use crate::model::check::{TimeColumn, TimeForm};

/// `"updated_at"` or `{ column, as, time_zone }`.
pub(super) fn time_column(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    name: &str,
) -> Setting<At<TimeColumn>> {
    let At { value, span } = match section.text_or_section(reader, name) {
        Setting::Given(at) => at,
        Setting::Faulty => return Setting::Faulty,
        Setting::Absent => return Setting::Absent,
    };
    let column = match value {
        TextOrSection::Text(text) => match source_name::column(&text) {
            Ok(column) => Some(TimeColumn {
                column,
                form: TimeForm::Native,
            }),
            Err(fault) => {
                reader.fault(fault);
                None
            }
        },
        TextOrSection::Section(section) => {
            let column = section
                .parsed(reader, "column", source_name::column)
                .value();
            let form = time_form(reader, &section);
            column
                .zip(form)
                .map(|(column, form)| TimeColumn { column, form })
        }
    };
    column.map_or(Setting::Faulty, |value| Setting::Given(At { value, span }))
}

/// What `as` and `time_zone` say together; `None` when a fault says that they cannot.
pub(super) fn time_form(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<TimeForm> {
    let epoch = section.word(reader, "as", &word::EPOCH);
    let time_zone = section.parsed(reader, "time_zone", zone::parse);
    match (epoch, time_zone) {
        (Setting::Faulty, _) | (_, Setting::Faulty) => None,
        (Setting::Given(epoch), Setting::Absent) => Some(epoch.value),
        (Setting::Absent, Setting::Given(time_zone)) => Some(TimeForm::Zoned(time_zone.value)),
        (Setting::Absent, Setting::Absent) => Some(TimeForm::Native),
        (Setting::Given(_), Setting::Given(time_zone)) => {
            reader.fault(
                Fault::new(time_zone.span, "an epoch number has no time zone")
                    .hint("take `time_zone` out, or `as`"),
            );
            None
        }
    }
}
