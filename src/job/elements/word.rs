//! Settings that are one of a few words.

use crate::job::fault::Fault;
use crate::job::reader::Text;
use crate::job::spec::Rate;
use crate::model::check::{
    Compare, Expiry, Form, Guard, Order, RepairMode, RepairOrphans, TimeForm, ValueKind, Writes,
};
use crate::model::stream::{OnPersisted, OnRewound, OnSkipped, OnTrimmed};

/// What `deletes` says before its columns are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::job) enum DeletesWord {
    Never,
    Tombstone,
    Scan,
}

/// What `on_unpersisted` says before `claim_to` is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::job) enum UnpersistedWord {
    Insert,
    Requeue,
    Claim,
    Report,
}

pub(in crate::job) const VALUE: [(&str, ValueKind); 7] = [
    ("string", ValueKind::String),
    ("integer", ValueKind::Integer),
    ("decimal", ValueKind::Decimal),
    ("json", ValueKind::Json),
    ("hash", ValueKind::Hash),
    ("zset", ValueKind::Zset),
    ("set", ValueKind::Set),
];
pub(in crate::job) static VALUE_NAMES: [&str; 7] = names(&VALUE);

pub(in crate::job) const DELETES: [(&str, DeletesWord); 3] = [
    ("never", DeletesWord::Never),
    ("tombstone", DeletesWord::Tombstone),
    ("scan", DeletesWord::Scan),
];
pub(in crate::job) static DELETES_NAMES: [&str; 3] = names(&DELETES);

pub(in crate::job) const EXPIRY: [(&str, Expiry); 3] = [
    ("any", Expiry::Any),
    ("required", Expiry::Required),
    ("none", Expiry::None),
];
pub(in crate::job) static EXPIRY_NAMES: [&str; 3] = names(&EXPIRY);

/// Whether a key or member must be there.
pub(in crate::job) const EXPECT: [(&str, bool); 2] = [("present", true), ("optional", false)];
pub(in crate::job) static EXPECT_NAMES: [&str; 2] = names(&EXPECT);

pub(in crate::job) const ORDER: [(&str, Order); 2] = [
    ("source-first", Order::SourceFirst),
    ("cache-first", Order::CacheFirst),
];
pub(in crate::job) static ORDER_NAMES: [&str; 2] = names(&ORDER);

pub(in crate::job) const WRITES: [(&str, Writes); 2] =
    [("set", Writes::Set), ("delta", Writes::Delta)];
pub(in crate::job) static WRITES_NAMES: [&str; 2] = names(&WRITES);

pub(in crate::job) const REPAIR: [(&str, RepairMode); 3] = [
    ("overwrite", RepairMode::Overwrite),
    ("invalidate", RepairMode::Invalidate),
    ("report", RepairMode::Report),
];
pub(in crate::job) static REPAIR_NAMES: [&str; 3] = names(&REPAIR);

pub(in crate::job) const REPAIR_ORPHANS: [(&str, RepairOrphans); 2] = [
    ("report", RepairOrphans::Report),
    ("invalidate", RepairOrphans::Invalidate),
];
pub(in crate::job) static REPAIR_ORPHANS_NAMES: [&str; 2] = names(&REPAIR_ORPHANS);

pub(in crate::job) const GUARD: [(&str, Guard); 3] = [
    ("auto", Guard::Auto),
    ("cas", Guard::Cas),
    ("row-lock", Guard::RowLock),
];
pub(in crate::job) static GUARD_NAMES: [&str; 3] = names(&GUARD);

pub(in crate::job) const COMPARE: [(&str, Compare); 3] = [
    ("equal", Compare::Equal),
    ("at-least", Compare::AtLeast),
    ("at-most", Compare::AtMost),
];
pub(in crate::job) static COMPARE_NAMES: [&str; 3] = names(&COMPARE);

pub(in crate::job) const FORM: [(&str, Form); 12] = [
    ("text", Form::Text),
    ("integer", Form::Integer),
    ("decimal", Form::Decimal),
    ("bool", Form::Bool),
    ("datetime", Form::DateTime),
    ("date", Form::Date),
    ("epoch-s", Form::EpochSeconds),
    ("epoch-ms", Form::EpochMillis),
    ("epoch-us", Form::EpochMicros),
    ("json", Form::Json),
    ("hex", Form::Hex),
    ("base64", Form::Base64),
];
pub(in crate::job) static FORM_NAMES: [&str; 12] = names(&FORM);

pub(in crate::job) const ON_PERSISTED: [(&str, OnPersisted); 2] =
    [("ack", OnPersisted::Ack), ("report", OnPersisted::Report)];
pub(in crate::job) static ON_PERSISTED_NAMES: [&str; 2] = names(&ON_PERSISTED);

pub(in crate::job) const ON_UNPERSISTED: [(&str, UnpersistedWord); 4] = [
    ("insert", UnpersistedWord::Insert),
    ("requeue", UnpersistedWord::Requeue),
    ("claim", UnpersistedWord::Claim),
    ("report", UnpersistedWord::Report),
];
pub(in crate::job) static ON_UNPERSISTED_NAMES: [&str; 4] = names(&ON_UNPERSISTED);

pub(in crate::job) const ON_SKIPPED: [(&str, OnSkipped); 3] = [
    ("insert", OnSkipped::Insert),
    ("requeue", OnSkipped::Requeue),
    ("report", OnSkipped::Report),
];
pub(in crate::job) static ON_SKIPPED_NAMES: [&str; 3] = names(&ON_SKIPPED);

pub(in crate::job) const ON_REWOUND: [(&str, OnRewound); 2] = [
    ("advance", OnRewound::Advance),
    ("report", OnRewound::Report),
];
pub(in crate::job) static ON_REWOUND_NAMES: [&str; 2] = names(&ON_REWOUND);

pub(in crate::job) const ON_TRIMMED: [(&str, OnTrimmed); 2] =
    [("ack", OnTrimmed::Ack), ("report", OnTrimmed::Report)];
pub(in crate::job) static ON_TRIMMED_NAMES: [&str; 2] = names(&ON_TRIMMED);

/// How a number in the source spells an instant.
pub(in crate::job) const EPOCH: [(&str, TimeForm); 3] = [
    ("epoch-s", TimeForm::EpochSeconds),
    ("epoch-ms", TimeForm::EpochMillis),
    ("epoch-us", TimeForm::EpochMicros),
];
pub(in crate::job) static EPOCH_NAMES: [&str; 3] = names(&EPOCH);

/// The one word a rate may be.
pub(in crate::job) const RATE: [(&str, Rate); 1] = [("unlimited", Rate::Unlimited)];

/// The value `text` stands for. `name` is the setting's; `later` are words kept for later additions.
pub(in crate::job) fn parse<T: Copy>(
    text: &Text,
    name: &str,
    words: &[(&'static str, T)],
    later: &[&str],
) -> Result<T, Fault> {
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text.value) {
        return Ok(*value);
    }
    if later.contains(&text.value.as_str()) {
        return Err(text
            .fault(format!(
                "`{name} = \"{}\"` is not supported yet",
                text.value
            ))
            .hint(format!("this version knows {}", listed(words))));
    }
    let fault = text.fault(format!("{} is no value of `{name}`", text.shown()));
    let nearest = words
        .iter()
        .map(|(word, _)| (strsim::jaro_winkler(&text.value, word), word))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    Err(match nearest {
        Some((_, word)) => fault.hint(format!(
            "did you mean \"{word}\"? It may be {}",
            listed(words)
        )),
        None => fault.hint(format!("it may be {}", listed(words))),
    })
}

/// The spelling of one of `words`.
pub(in crate::job) fn spelled<T: Copy + PartialEq>(
    words: &[(&'static str, T)],
    value: T,
) -> &'static str {
    words
        .iter()
        .find(|(_, v)| *v == value)
        .map_or("", |(word, _)| word)
}

fn listed<T>(words: &[(&'static str, T)]) -> String {
    let quoted: Vec<_> = words
        .iter()
        .map(|(word, _)| format!("\"{word}\""))
        .collect();
    quoted.join(", ")
}

const fn names<T: Copy, const N: usize>(words: &[(&'static str, T); N]) -> [&'static str; N] {
    let mut out = [""; N];
    let mut at = 0;
    while at < N {
        out[at] = words[at].0;
        at += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn text(value: &str) -> Text {
        Text {
            value: value.to_owned(),
            span: 0..1,
            substituted: false,
        }
    }

    #[test]
    fn a_word_a_near_miss_and_a_later_one() {
        assert_eq!(
            parse(&text("zset"), "value", &VALUE, &["opaque"]).unwrap(),
            ValueKind::Zset
        );
        let near = parse(&text("overwrit"), "repair", &REPAIR, &[]).unwrap_err();
        assert!(
            near.hint
                .unwrap()
                .starts_with("did you mean \"overwrite\"?")
        );
        let later = parse(&text("opaque"), "value", &VALUE, &["opaque"]).unwrap_err();
        assert_eq!(later.message, "`value = \"opaque\"` is not supported yet");
        let far = parse(&text("xyz"), "value", &VALUE, &[]).unwrap_err();
        assert_eq!(far.message, "`xyz` is no value of `value`");
    }
}
