//! One check's judgement: what both sides say about one key or member.

use std::sync::Arc;

use bytes::Bytes;

use super::case::{BothSides, Case, FieldCase, Presence};
use super::catalog;
use super::compare::{CacheToken, Comparison, FieldComparer};
use crate::model::check::{Compare, FieldSpec, Locator};
use crate::model::finding::{Direction, Suspect};
use crate::model::mapping::{Mapping, RowMeaning};
use crate::model::observation::{Cached, CachedState, KeyExpiry};
use crate::model::rows::RowRef;
use crate::model::value::json::{JsonFault, JsonToken, Pointers};

/// Fields of one check that are judged without allocating; more of them cost one allocation a document.
const TOKENS_ON_STACK: usize = 16;

/// What a check's verdicts depend on besides the job file and the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JudgeContext {
    /// Whether the server may evict keys that never expire (`allkeys-*`).
    pub evicts_unexpiring: bool,
}

/// A mapping compiled for judging. Holds no connection and no state; share it between tasks.
#[derive(Debug, Clone)]
pub struct Judge {
    mapping: Arc<Mapping>,
    context: JudgeContext,
    pointers: Pointers,
    version: Option<Compiled>,
    /// In the order of `check.fields`.
    fields: Vec<Compiled>,
}

#[derive(Debug, Clone)]
struct Compiled {
    comparer: FieldComparer,
    cell: usize,
    place: Place,
}

/// Where a field lies in what Redis answered.
#[derive(Debug, Clone, Copy)]
enum Place {
    Whole,
    Pointer(usize),
    HashField(usize),
}

/// A cached value as it is judged, borrowed.
#[derive(Clone, Copy)]
enum View<'a> {
    Missing { key_exists: bool },
    WrongType(&'a str),
    Value(&'a [u8]),
    Fields(&'a [Option<Bytes>]),
}

impl Judge {
    pub fn new(mapping: Arc<Mapping>, context: JudgeContext) -> Self {
        let check = Arc::clone(&mapping.check);
        let pointed = check
            .version
            .iter()
            .map(|v| &v.cache)
            .chain(check.fields.iter().map(|f| &f.cache));
        let pointers = Pointers::compile(pointed.filter_map(|locator| match locator {
            Locator::Pointer(tokens) => Some(tokens.as_slice()),
            _ => None,
        }));
        let (mut next_pointer, mut next_field) = (0, 0);
        let mut place = |locator: &Locator| {
            let field = next_field;
            next_field += 1;
            match locator {
                Locator::Whole | Locator::Score => Place::Whole,
                Locator::HashField(_) => Place::HashField(field),
                Locator::Pointer(_) => {
                    next_pointer += 1;
                    Place::Pointer(next_pointer - 1)
                }
            }
        };
        let version = check
            .version
            .as_ref()
            .zip(mapping.version_cell)
            .map(|(version, cell)| {
                let spec = version_field(version);
                let place = place(&version.cache);
                Compiled {
                    comparer: FieldComparer::new(&spec, &mapping.columns[cell]),
                    cell,
                    place,
                }
            });
        let fields = check
            .fields
            .iter()
            .zip(&mapping.field_cells)
            .map(|(spec, &cell)| {
                let place = place(&spec.cache);
                Compiled {
                    comparer: FieldComparer::new(spec, &mapping.columns[cell]),
                    cell,
                    place,
                }
            });
        let fields = fields.collect();
        Self {
            mapping,
            context,
            pointers,
            version,
            fields,
        }
    }

    pub fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    /// How the field `index` of `check.fields` is compared and written.
    pub fn comparer(&self, index: usize) -> &FieldComparer {
        &self.fields[index].comparer
    }

    /// How the version is compared and written.
    pub fn version_comparer(&self) -> Option<&FieldComparer> {
        self.version.as_ref().map(|v| &v.comparer)
    }

    /// Whether both sides agree entirely: the hot path, which allocates nothing. False where a rule
    /// objects, and where the cache is legally ahead.
    pub fn agrees(&self, row: Option<RowRef<'_>>, state: &CachedState) -> bool {
        self.agrees_view(row, View::of(&state.cached), state.expiry)
    }

    /// [`Judge::agrees`] for the answer of MGET; the expiry is not looked at.
    pub fn agrees_bytes(&self, row: Option<RowRef<'_>>, value: Option<&[u8]>) -> bool {
        let view = value.map_or(View::Missing { key_exists: false }, View::Value);
        self.agrees_view(row, view, KeyExpiry::Unread)
    }

    /// Everything the rules look at, computed once.
    pub fn case<'a>(&'a self, row: Option<RowRef<'a>>, state: &'a CachedState) -> Case<'a> {
        let meaning = self.mapping.meaning(row);
        let mut case = Case {
            mapping: &self.mapping,
            context: self.context,
            meaning,
            presence: Presence::Present,
            expiry: state.expiry,
            version: None,
            fields: Vec::new(),
            direction: Direction::Undirected,
        };
        let view = View::of(&state.cached);
        match view {
            View::Missing { key_exists } => case.presence = Presence::Missing { key_exists },
            View::WrongType(name) => case.presence = Presence::WrongType(name),
            View::Value(bytes) if self.is_absent_mark(bytes) => {
                case.presence = Presence::AbsentMark
            }
            View::Value(_) | View::Fields(_) => {
                if let Some(row) = row.filter(|_| meaning == RowMeaning::Live) {
                    self.compare_fields(&mut case, row, view);
                }
            }
        }
        case
    }

    /// What the rules object to: at most one suspect for the key and one for each field, the most specific.
    pub fn suspects(&self, row: Option<RowRef<'_>>, state: &CachedState) -> Vec<Suspect> {
        catalog::judge(&self.case(row, state))
    }

    /// The tokens of a decodable value: the version's first where there is one, then every field's.
    pub fn tokens<'a>(&self, cached: &'a Cached) -> Result<Vec<CacheToken<'a>>, JsonFault> {
        let view = View::of(cached);
        self.with_slots(view, |slots| {
            self.version
                .iter()
                .chain(&self.fields)
                .map(|field| token(field.place, view, slots))
                .collect()
        })
    }

    fn agrees_view(&self, row: Option<RowRef<'_>>, view: View<'_>, expiry: KeyExpiry) -> bool {
        let check = &self.mapping.check;
        match (self.mapping.meaning(row), row) {
            (RowMeaning::Live, Some(row)) => match view {
                View::Missing { key_exists } => {
                    !super::cache::missing_key::is_expected(check, self.context, key_exists)
                }
                View::WrongType(_) => false,
                View::Value(bytes) if self.is_absent_mark(bytes) => false,
                View::Value(_) | View::Fields(_) => {
                    let has_expiry = !super::cache::lost_expiry::is_lost(check, expiry);
                    has_expiry
                        && self.with_slots(view, |slots| self.agrees_live(row, view, slots))
                            == Ok(true)
                }
            },
            _ => match view {
                View::Missing { .. } => true,
                // Where the cache may be ahead, the row may still be on its way.
                View::Value(_) | View::Fields(_)
                    if check.ahead_ok && self.mapping.meaning(row) == RowMeaning::None =>
                {
                    true
                }
                View::Value(bytes) => self.is_absent_mark(bytes),
                View::WrongType(_) | View::Fields(_) => false,
            },
        }
    }

    fn agrees_live<'a>(
        &self,
        row: RowRef<'_>,
        view: View<'a>,
        slots: &[Option<JsonToken<'a>>],
    ) -> bool {
        let is_equal = |field: &Compiled| {
            field
                .comparer
                .compare(token(field.place, view, slots), row.cell(field.cell))
                == Comparison::Equal
        };
        let is_sound = |field: &Compiled| {
            let token = token(field.place, view, slots);
            !field.comparer.is_negative(token) && !field.comparer.is_out_of_bounds(token)
        };
        if self.version.iter().chain(&self.fields).all(is_equal) {
            return self.fields.iter().all(is_sound);
        }
        // A hash that holds nothing of ours is not cached at all, whatever else lives in it.
        holds_nothing(view)
            && !super::cache::missing_key::is_expected(&self.mapping.check, self.context, true)
    }

    fn compare_fields(&self, case: &mut Case<'_>, row: RowRef<'_>, view: View<'_>) {
        let compared = self.with_slots(view, |slots| {
            let version = self.version.as_ref().map(|version| {
                let token = token(version.place, view, slots);
                match version.comparer.compare(token, row.cell(version.cell)) {
                    Comparison::Behind if version.comparer.spells_null(token) => {
                        Comparison::Undecodable("it carries no version")
                    }
                    other => other,
                }
            });
            let field = |field: &Compiled| {
                let token = token(field.place, view, slots);
                let cell = row.cell(field.cell);
                FieldCase {
                    comparison: field.comparer.compare(token, cell),
                    negative: BothSides {
                        cache: field.comparer.is_negative(token),
                        source: field.comparer.is_cell_negative(cell),
                    },
                    beyond: BothSides {
                        cache: field.comparer.is_out_of_bounds(token),
                        source: field.comparer.is_cell_out_of_bounds(cell),
                    },
                    is_directed: field.comparer.has_direction(),
                    has_states: field.comparer.has_states(),
                }
            };
            (version, self.fields.iter().map(field).collect::<Vec<_>>())
        });
        match compared {
            Err(fault) => case.presence = Presence::Undecodable(fault.to_string()),
            Ok((version, fields)) => {
                let is_equal = version.is_none_or(|v| v == Comparison::Equal)
                    && fields.iter().all(|f| f.comparison == Comparison::Equal);
                if !is_equal && holds_nothing(view) {
                    case.presence = Presence::Missing { key_exists: true };
                    return;
                }
                case.settle(version, fields);
            }
        }
    }

    fn is_absent_mark(&self, bytes: &[u8]) -> bool {
        self.mapping.check.absent.iter().any(|mark| mark == bytes)
    }

    /// Finds the pointers of a document and hands them to `read`; other values have none.
    fn with_slots<'a, T>(
        &self,
        view: View<'a>,
        read: impl FnOnce(&[Option<JsonToken<'a>>]) -> T,
    ) -> Result<T, JsonFault> {
        let count = self.pointers.len();
        match view {
            View::Value(document) if count > 0 => {
                let mut few = [None; TOKENS_ON_STACK];
                let mut many = Vec::new();
                let slots = if count <= TOKENS_ON_STACK {
                    &mut few[..count]
                } else {
                    many.resize(count, None);
                    many.as_mut_slice()
                };
                self.pointers.find(document, slots)?;
                Ok(read(slots))
            }
            _ => Ok(read(&[])),
        }
    }
}

impl<'a> View<'a> {
    fn of(cached: &'a Cached) -> Self {
        match cached {
            Cached::Missing { key_exists } => View::Missing {
                key_exists: *key_exists,
            },
            Cached::WrongType(name) => View::WrongType(name),
            Cached::Value(bytes) => View::Value(bytes),
            Cached::Fields(fields) => View::Fields(fields),
        }
    }
}

fn holds_nothing(view: View<'_>) -> bool {
    matches!(view, View::Fields(fields) if fields.iter().all(Option::is_none))
}

fn token<'a>(place: Place, view: View<'a>, slots: &[Option<JsonToken<'a>>]) -> CacheToken<'a> {
    match (place, view) {
        (Place::Whole, View::Value(bytes)) => CacheToken::Raw(bytes),
        (Place::Pointer(slot), View::Value(_)) => slots
            .get(slot)
            .copied()
            .flatten()
            .map_or(CacheToken::Missing, CacheToken::Json),
        (Place::HashField(index), View::Fields(fields)) => fields
            .get(index)
            .and_then(Option::as_deref)
            .map_or(CacheToken::Missing, CacheToken::Raw),
        _ => CacheToken::Missing,
    }
}

/// A version is a field that never falls.
fn version_field(version: &crate::model::check::VersionSpec) -> FieldSpec {
    FieldSpec {
        cache: version.cache.clone(),
        column: version.column.clone(),
        form: None,
        time_zone: None,
        compare: Compare::AtLeast,
        states: Vec::new(),
        tolerance: None,
        scale: None,
        min: None,
        max: None,
        null: None,
        follows: None,
        balance: false,
        redact: false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::model::check::*;
    use crate::model::column::ColumnType;
    use crate::model::observation::{Cached, CachedState, KeyExpiry};
    use crate::rules::testing::*;

    const INTEGER: ColumnType = ColumnType::Integer { unsigned: false };

    fn spec(ahead_ok: bool, expect_present: bool, expiry: Expiry, has_version: bool) -> CacheCheck {
        let mut spec = check(
            ValueKind::Json,
            vec![
                field(pointer("/n"), "n"),
                field(pointer("/s"), "s"),
                field(pointer("/f"), "f"),
            ],
        );
        spec.fields[0].compare = Compare::AtLeast;
        spec.fields[0].balance = true;
        spec.fields[0].max = Some(2.into());
        spec.fields[1].states = vec!["A".into(), "B".into()];
        spec.fields[2].follows = Some(0);
        spec.absent = vec![b"-".to_vec()];
        let version = VersionSpec {
            cache: pointer("/v"),
            column: named("version"),
        };
        CacheCheck {
            ahead_ok,
            expect_present,
            expiry,
            version: has_version.then_some(version),
            ..spec
        }
    }

    fn document(v: &str, n: &str, s: &str, f: &str) -> String {
        let members = [("v", v), ("n", n), ("s", s), ("f", f)];
        let members: Vec<_> = members
            .iter()
            .filter(|m| !m.1.is_empty())
            .map(|(k, v)| format!("\"{k}\":{v}"))
            .collect();
        format!("{{{}}}", members.join(","))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn the_hot_path_says_what_the_rules_say(
            (v, n) in ("|1|2|null", "|0|1|3|-1|\"1\"|x|null"), (s, f) in ("|\"A\"|\"B\"|\"C\"|1", "|\"\"|\"x\"|null"),
            (version, number) in ("1|2", prop::option::of("0|1|3|-1")), (state, follower) in (prop::option::of("A|B|D"), prop::option::of("x?")),
            what in 0u8..8, row_kind in 0u8..8, ahead_ok: bool, expect_present: bool, has_version: bool, expiry in 0u8..3,
        ) {
            let expiry = [Expiry::Any, Expiry::Required, Expiry::None][usize::from(expiry)];
            let judge = judge(spec(ahead_ok, expect_present, expiry, has_version), &[INTEGER, ColumnType::Enum, ColumnType::Text]);
            let cells = [number.as_deref(), state.as_deref(), follower.as_deref()];
            let row = match row_kind {
                0 => None,
                1 => Some(tombstone(&version, &cells)),
                2 => Some(excluded(&version, &cells)),
                _ => Some(row(&version, &cells)),
            };
            let state = match what {
                0 => missing(false),
                1 => missing(true),
                2 => value("-"),
                3 => CachedState { cached: Cached::WrongType("list".into()), expiry: KeyExpiry::Unread },
                4 => CachedState { expiry: KeyExpiry::Never, ..value(&document(&v, &n, &s, &f)) },
                _ => value(&document(&v, &n, &s, &f)),
            };
            found(&judge, row.as_ref(), &state);
            if let (Cached::Value(bytes), KeyExpiry::Unread) = (&state.cached, state.expiry) {
                let row = row.as_ref().map(|r| r.as_ref());
                prop_assert_eq!(judge.agrees_bytes(row, Some(bytes)), judge.agrees(row, &state));
            }
        }
    }
}
