//! Two settings for one place in the cached value.

use crate::job::elements::locator;
use crate::job::fault::Fault;
use crate::job::raw::RawCache;
use crate::job::reader::Text;
use crate::model::check::{Locator, ValueKind};

/// Refuses places that are named twice, or lie inside one another: to write one would be to write the
/// other, and what is nobody's truth cannot be compared.
pub(super) fn refuse(raw: &RawCache, value: ValueKind, faults: &mut Vec<Fault>) {
    let fields = raw.fields.given().map_or(&[][..], Vec::as_slice);
    let named = raw
        .version
        .given()
        .and_then(|version| version.cache.given())
        .into_iter()
        .chain(fields.iter().filter_map(|field| field.cache.given()))
        .chain(raw.ignore.given().into_iter().flatten());
    let mut seen: Vec<(&Text, Locator)> = Vec::new();
    for text in named {
        let Ok(place) = locator::parse(text, value) else {
            continue;
        };
        if let Some((earlier, _)) = seen
            .iter()
            .find(|(_, other)| locator::overlap(&place, other))
        {
            faults.push(
                text.fault(format!(
                    "{} and {} are the same place, or one lies in the other",
                    earlier.shown(),
                    text.shown()
                ))
                .hint("name each place once, as version, field or ignore"),
            );
        }
        seen.push((text, place));
    }
}
