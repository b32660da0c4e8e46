//! One `[[cache]]` mapping as it was asked for, with no invalid state left in it.
//!
//! `job` builds these from the file; `plan` binds them to a live schema (`Mapping`); `rules`
//! judge by them.

use std::path::PathBuf;
use std::time::Duration;

use bigdecimal::BigDecimal;
use chrono_tz::Tz;

use super::template::Template;

/// A name written in the job file, with where it stood, so that what the live schema refutes
/// can still be shown at its line. `span` is a byte range of the job file's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub text: String,
    pub span: std::ops::Range<usize>,
}

/// One `[[cache]]` check.
#[derive(Debug, Clone)]
pub struct CacheCheck {
    pub name: Named,
    pub key: Template,
    /// Where the `key` setting stood.
    pub key_span: std::ops::Range<usize>,
    pub value: ValueKind,
    pub layout: Layout,
    pub source: Source,
    /// Absent only where a window is never possible; such a check can run under `--full` only.
    pub window: Option<Window>,
    pub deletes: Deletes,
    pub version: Option<VersionSpec>,
    /// Mapped fields in file order. A scalar value has exactly one, with `Locator::Whole`; a
    /// sorted set's score is one with `Locator::Score`; a set has none.
    pub fields: Vec<FieldSpec>,
    /// JSON members (or hash fields) that are nobody's truth.
    pub ignore: Vec<Locator>,
    pub lazy: bool,
    pub expiry: Expiry,
    /// What a recreated key gets.
    pub ttl: Option<Duration>,
    /// Bytes by which the application remembers "no such row".
    pub absent: Vec<Vec<u8>>,
    pub expect_present: bool,
    /// `None`: nobody said who is written first.
    pub order: Option<Order>,
    pub writes: Writes,
    pub ahead_ok: bool,
    pub subject: Option<Named>,
    pub currency: Option<String>,
    pub repair: RepairMode,
    pub repair_orphans: RepairOrphans,
    pub guard: Guard,
    /// Between the two looks, for rows at rest.
    pub settle: Duration,
    /// The longest an application takes from commit to cache write.
    pub cache_delay: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueKind {
    String,
    Integer,
    Decimal,
    Json,
    Hash,
    Zset,
    Set,
}

/// How rows lie in Redis.
#[derive(Debug, Clone, PartialEq)]
pub enum Layout {
    /// One key, one row.
    KeyPerRow,
    /// One key, many rows: a member of a sorted set or set (`ValueKind::Zset`, `Set`), or a field of
    /// a hash (`ValueKind::Hash` with one `Locator::Whole` field).
    RowPerMember(Template),
}

#[derive(Debug, Clone)]
pub enum Source {
    Table {
        /// `table` or `schema.table`, unquoted.
        table: Named,
        /// Which rows explain a key or member; never which ids are looked at.
        explains: Option<Named>,
    },
    Sql {
        /// The SELECT itself, read from `path` when it came from a file, `;` and trailing space removed.
        text: String,
        path: Option<PathBuf>,
        span: std::ops::Range<usize>,
        /// The id columns of the SELECT, in the order of the composite id.
        id: Vec<Named>,
        /// Plain SELECT of the parent rows every writer locks; needed for row locks.
        lock_sql: Option<Named>,
    },
}

/// How the changed ids of a window are found.
#[derive(Debug, Clone)]
pub enum Window {
    ChangedAt(TimeColumn),
    /// A SELECT of ids with `:since` in it, bound as `form` says.
    ChangedIds {
        sql: Named,
        form: TimeForm,
    },
}

/// A column that holds an instant.
#[derive(Debug, Clone)]
pub struct TimeColumn {
    pub column: Named,
    pub form: TimeForm,
}

/// How an instant is spelled in the source.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TimeForm {
    /// By the column's own type: DATETIME read as UTC, TIMESTAMP as the instant it is.
    Native,
    /// A DATETIME that the application fills in this zone.
    Zoned(Tz),
    EpochSeconds,
    EpochMillis,
    EpochMicros,
}

/// How a vanished row shows itself.
#[derive(Debug, Clone)]
pub enum Deletes {
    Never,
    Tombstone(Tombstone),
    Scan,
}

#[derive(Debug, Clone)]
pub enum Tombstone {
    /// Not NULL once the row is gone.
    DeletedAt(TimeColumn),
    /// An SQL condition that is true once the row is gone; its time is the window's column.
    Condition(Named),
}

#[derive(Debug, Clone)]
pub struct VersionSpec {
    pub cache: Locator,
    pub column: Named,
}

/// Where in a cached value a field lies.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Locator {
    /// The whole string, or the whole value of a member.
    Whole,
    /// RFC 6901 pointer, decoded into its reference tokens; never empty.
    Pointer(Vec<String>),
    /// Hash field by name.
    HashField(Vec<u8>),
    /// The score of a sorted-set member.
    Score,
}

impl std::fmt::Display for Locator {
    /// As the job file spells it; empty for a whole value.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Locator::Whole => Ok(()),
            Locator::Score => f.write_str("score"),
            Locator::HashField(name) => f.write_str(&String::from_utf8_lossy(name)),
            Locator::Pointer(tokens) => tokens
                .iter()
                .try_for_each(|t| write!(f, "/{}", t.replace('~', "~0").replace('/', "~1"))),
        }
    }
}

#[derive(Debug, Clone)]
pub struct FieldSpec {
    pub cache: Locator,
    pub column: Named,
    /// `None`: follows from the column's type.
    pub form: Option<Form>,
    /// Zone of a naive `datetime` in the cache and of the DATETIME column; default UTC.
    pub time_zone: Option<Tz>,
    pub compare: Compare,
    /// Declared order of states, lowest first; going back is a finding.
    pub states: Vec<String>,
    pub tolerance: Option<BigDecimal>,
    /// Digits after the point that the cache keeps; the source is rounded half up to it.
    pub scale: Option<u32>,
    pub min: Option<BigDecimal>,
    pub max: Option<BigDecimal>,
    /// How the cache spells SQL NULL; `None`: JSON null or a missing member / hash field.
    pub null: Option<Vec<u8>>,
    /// Index into `fields` of the leader together with which this one is judged and written.
    pub follows: Option<usize>,
    pub balance: bool,
    pub redact: bool,
}

/// How the cache spells a column's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Text,
    Integer,
    Decimal,
    Bool,
    DateTime,
    Date,
    EpochSeconds,
    EpochMillis,
    EpochMicros,
    Json,
    Hex,
    Base64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    Equal,
    /// Never falls: lower than the source is behind.
    AtLeast,
    /// Never rises: higher than the source is behind.
    AtMost,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    Any,
    Required,
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    SourceFirst,
    CacheFirst,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writes {
    Set,
    Delta,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RepairMode {
    Overwrite,
    Invalidate,
    Report,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RepairOrphans {
    Report,
    Invalidate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    Auto,
    Cas,
    RowLock,
}

impl CacheCheck {
    /// Whether the cached bytes hold something that never goes back: a version, an
    /// `at-least`/`at-most` field or an ordered state. Only then is byte equality enough (ABA).
    pub fn has_direction(&self) -> bool {
        self.version.is_some() || self.fields.iter().any(FieldSpec::has_direction)
    }
}

impl FieldSpec {
    /// Whether the field alone tells *behind* from *ahead*.
    pub fn has_direction(&self) -> bool {
        self.compare != Compare::Equal || !self.states.is_empty()
    }
}
