//! `--key` and `--id`: both sides of one key, and what was made of it, for a person on stdout.

use std::fmt::Write;

use serde_json::{Value, json};

use super::check::CheckRun;
use super::findings::digest;
use super::settle::Settled;
use crate::model::check::FieldSpec;
use crate::model::finding::{Direction, Finding, Verdict};
use crate::model::mapping::RowMeaning;
use crate::model::observation::{Cached, Look};
use crate::report::{escape, escape_id};

/// Longer texts are cut here: a screen is for seeing what differs, the report has the whole.
const TEXT_MAX: usize = 160;

/// One key or member as both sides have it, already spelled. Only mapped fields; redacted ones as digests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) check: String,
    pub(super) key: String,
    pub(super) member: Option<String>,
    pub(super) id: String,
    pub(super) redis: String,
    pub(super) mysql: String,
    pub(super) lines: Vec<Line>,
    /// Each a sentence: a finding, or that both agree.
    pub(super) said: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) field: String,
    pub(super) redis: String,
    pub(super) mysql: String,
}

impl Shown {
    pub(super) fn of(check: &CheckRun, settled: &Settled<CheckRun>, findings: &[Finding]) -> Self {
        let subject = &settled.target.subject;
        let look = settled.look.as_ref();
        Self {
            check: check.name().to_owned(),
            key: escape(&subject.key),
            member: subject.member.as_deref().map(escape),
            id: escape_id(&subject.id),
            redis: look.map_or_else(unread, |l| presence(&l.after.cached)),
            mysql: look.map_or_else(unread, |l| meaning(check, l)),
            lines: look.map_or_else(Vec::new, |l| lines(check, l)),
            said: said(check, settled, findings),
        }
    }

    /// A block for a person.
    pub(super) fn text(&self) -> String {
        let mut text = format!("key      {}\n", self.key);
        let mut put = |line: std::fmt::Arguments<'_>| {
            text.write_fmt(line).expect("a String takes every write");
        };
        if let Some(member) = &self.member {
            put(format_args!("member   {member}\n"));
        }
        put(format_args!(
            "row id   {}   (check {})\n",
            self.id, self.check
        ));
        put(format_args!("Redis    {}\n", self.redis));
        put(format_args!("MySQL    {}\n", self.mysql));
        if !self.lines.is_empty() {
            let width = |of: fn(&Line) -> &str, title: &str| {
                let widths = self.lines.iter().map(|l| of(l).chars().count());
                widths.max().unwrap_or_default().max(title.len())
            };
            let (first, second) = (width(|l| &l.field, "field"), width(|l| &l.redis, "Redis"));
            put(format_args!(
                "  {:first$}  {:second$}  MySQL\n",
                "field", "Redis"
            ));
            for line in &self.lines {
                put(format_args!(
                    "  {:first$}  {:second$}  {}\n",
                    line.field, line.redis, line.mysql
                ));
            }
        }
        for said in &self.said {
            put(format_args!("verdict  {said}\n"));
        }
        text
    }

    /// The same for a machine.
    pub(super) fn json(&self) -> Value {
        let fields: Vec<Value> = self
            .lines
            .iter()
            .map(|l| json!({"field": l.field, "redis": l.redis, "mysql": l.mysql}))
            .collect();
        json!({
            "check": self.check, "key": self.key, "member": self.member, "row_id": self.id,
            "redis": self.redis, "mysql": self.mysql, "fields": fields, "verdict": self.said,
        })
    }
}

fn unread() -> String {
    "could not be read".to_owned()
}

fn presence(cached: &Cached) -> String {
    match cached {
        Cached::Missing { key_exists: true } => {
            "the key is there, this part of it is not".to_owned()
        }
        Cached::Missing { key_exists: false } => "no such key".to_owned(),
        Cached::WrongType(name) => format!("a key of another type: {name}"),
        Cached::Value(bytes) => format!("{} bytes", bytes.len()),
        Cached::Fields(fields) => format!(
            "a hash with {} of the {} mapped fields",
            fields.iter().flatten().count(),
            fields.len()
        ),
    }
}

fn meaning(check: &CheckRun, look: &Look) -> String {
    let row = look.row.as_ref().map(|r| r.as_ref());
    match check.mapping.meaning(row) {
        RowMeaning::None => "no such row",
        RowMeaning::Tombstone => "the row says it was deleted",
        RowMeaning::Excluded => "the row is there, and `where` leaves it out",
        RowMeaning::Live => "the row is there",
    }
    .to_owned()
}

/// The version, if there is one, and every mapped field, equal ones too.
fn lines(check: &CheckRun, look: &Look) -> Vec<Line> {
    let mapping = &check.mapping;
    let (judge, cached) = (&check.judge, &look.after.cached);
    let cell = |at: usize| {
        let row = look.row.as_ref()?;
        row.as_ref().cell(at).map(<[u8]>::to_vec)
    };
    let absent = |what: &str| format!("({what})");
    let null = if look.row.is_some() { "NULL" } else { "no row" };
    let version = mapping.version_cell.map(|at| Line {
        field: "version".to_owned(),
        redis: judge
            .shown_version(cached)
            .map_or_else(|| absent("none"), |v| cut(&v)),
        mysql: cell(at).map_or_else(|| absent(null), |v| cut(&v)),
    });
    let fields = mapping
        .check
        .fields
        .iter()
        .enumerate()
        .map(|(index, spec)| {
            let shown = |value: Vec<u8>| match spec.redact {
                true => cut(&digest(&value)),
                false => cut(&value),
            };
            Line {
                field: spec.cache.to_string(),
                redis: judge
                    .shown_field(index, cached)
                    .map_or_else(|| absent("none"), shown),
                mysql: cell(mapping.field_cells[index]).map_or_else(|| absent(null), shown),
            }
        });
    version.into_iter().chain(fields).collect()
}

fn said(check: &CheckRun, settled: &Settled<CheckRun>, findings: &[Finding]) -> Vec<String> {
    match settled.verdict {
        _ if !findings.is_empty() => {
            let fields = &check.mapping.check.fields;
            findings.iter().map(|f| sentence(fields, f)).collect()
        }
        Verdict::Transient => vec!["no rule objects; nothing to do".to_owned()],
        verdict => vec![format!("{}: {}", verdict.name(), settled.reason)],
    }
}

/// A finding as a sentence; `fields` are those of its check.
pub(super) fn sentence(fields: &[FieldSpec], finding: &Finding) -> String {
    let suspect = &finding.suspect;
    let place = suspect
        .field
        .map_or_else(String::new, |at| format!(" of {}", fields[at].cache));
    let direction = match suspect.direction {
        Direction::Behind => ", Redis is behind",
        Direction::Ahead => ", Redis is ahead",
        Direction::Mixed => ", partly behind and partly ahead",
        Direction::Undirected => "",
    };
    let outcome = finding
        .outcome
        .map_or_else(String::new, |o| format!(", {}", o.name()));
    let reason = match finding.reason.as_str() {
        "" => String::new(),
        reason => format!(" ({reason})"),
    };
    format!(
        "{}{place}: {}{direction}; remedy {}{outcome}{reason}",
        suspect.rule,
        finding.verdict.name(),
        finding.remedy.name(),
    )
}

/// Printable, and short enough for a line.
pub(super) fn cut(bytes: &[u8]) -> String {
    match bytes {
        [] => "\"\"".to_owned(),
        _ if bytes.len() <= TEXT_MAX => escape(bytes),
        _ => format!("{}… ({} bytes)", escape(&bytes[..TEXT_MAX]), bytes.len()),
    }
}
