//! What several looks at one subject are worth. (DESIGN, *Confirm*.)

use std::time::Duration;

use sha2::{Digest, Sha256};

use super::judge::Judge;
use crate::model::check::{Deletes, TimeForm, Tombstone, Window, Writes};
use crate::model::column::ColumnType;
use crate::model::finding::{Suspect, Verdict};
use crate::model::identity::SourceIdentity;
use crate::model::mapping::Mapping;
use crate::model::observation::Look;
use crate::model::rows::RowRef;
use crate::model::time::Micros;
use crate::model::value::{Moment, Number, instant};

/// After this many looks a subject that did not come to rest is left alone.
pub const LOOKS_MAX: usize = 5;

/// How far apart two looks must be. The first two are the check's, the third is the job's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConfirmTiming {
    pub settle: Duration,
    pub cache_delay: Duration,
    pub commit_margin: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// `suspects` as the look `look` shows them; empty where that look shows nothing wrong.
    Settled {
        verdict: Verdict,
        suspects: Vec<Suspect>,
        look: usize,
    },
    /// Look again this long after the last look was complete.
    LookAgain { after: Duration },
}

/// Decides over the looks taken so far, in order. A look whose two reads of Redis differ, or that another
/// server than `pinned_source` answered, proves nothing.
pub fn decide(
    judge: &Judge,
    looks: &[Look],
    pinned_source: &SourceIdentity,
    timing: ConfirmTiming,
) -> Decision {
    let mut run = Run {
        judge,
        timing,
        looks: Vec::new(),
    };
    for (index, look) in looks.iter().enumerate() {
        let still_holds = |earlier: &Judged<'_>| earlier.look.before.cached == look.before.cached;
        if !look.counts() || !run.looks.last().is_none_or(still_holds) {
            // Something was written in the meantime: whatever was equal before may have flipped.
            run.looks.clear();
        }
        if !look.counts() || look.source != *pinned_source {
            continue;
        }
        let judged = Judged::new(judge, index, look);
        if judged.suspects.is_empty() {
            return Decision::Settled {
                verdict: Verdict::Transient,
                suspects: Vec::new(),
                look: index,
            };
        }
        if let Some(suspects) = run.confirm(judged) {
            return Decision::Settled {
                verdict: Verdict::Confirmed,
                suspects,
                look: index,
            };
        }
    }
    if looks.len() < LOOKS_MAX {
        return Decision::LookAgain {
            after: run.wait(looks),
        };
    }
    give_up(judge, looks, pinned_source)
}

/// SHA-256 over what a verdict without a version depends on: mapped columns, version, `changed_at` and
/// what makes a row a tombstone or leaves it out.
pub fn fingerprint(mapping: &Mapping, row: RowRef<'_>) -> [u8; 32] {
    let mut hash = Sha256::new();
    let computed = [
        mapping.version_cell,
        mapping.changed_at_cell,
        mapping.deleted_at_cell,
        mapping.tombstone_cell,
        mapping.explains_cell,
    ];
    for cell in mapping
        .field_cells
        .iter()
        .copied()
        .chain(computed.into_iter().flatten())
    {
        match row.cell(cell) {
            None => hash.update([0]),
            Some(bytes) => {
                hash.update([1]);
                hash.update((bytes.len() as u64).to_be_bytes());
                hash.update(bytes);
            }
        }
    }
    hash.finalize().into()
}

/// Looks that showed the same wrong bytes one after the other.
struct Run<'a> {
    judge: &'a Judge,
    timing: ConfirmTiming,
    looks: Vec<Judged<'a>>,
}

struct Judged<'a> {
    index: usize,
    look: &'a Look,
    suspects: Vec<Suspect>,
    /// Whether the source must have been at rest: nothing in the cached bytes tells their age.
    needs_quiet: bool,
    fingerprint: Option<[u8; 32]>,
}

impl<'a> Judged<'a> {
    fn new(judge: &Judge, index: usize, look: &'a Look) -> Self {
        let row = look.row.as_ref().map(|r| r.as_ref());
        let is_delta = judge.mapping().check.writes == Writes::Delta;
        Self {
            index,
            look,
            suspects: judge.suspects(row, &look.before),
            needs_quiet: is_delta || !judge.case(row, &look.before).is_versioned(),
            fingerprint: row.map(|row| fingerprint(judge.mapping(), row)),
        }
    }

    fn goes_on_from(&self, earlier: &Judged<'_>) -> bool {
        let is_quiet = self.fingerprint == earlier.fingerprint;
        let needs_quiet = self.needs_quiet || earlier.needs_quiet;
        self.look.before.cached == earlier.look.before.cached && (is_quiet || !needs_quiet)
    }
}

impl<'a> Run<'a> {
    /// Takes one more look; what it and an earlier one far enough apart both object to, if anything.
    fn confirm(&mut self, judged: Judged<'a>) -> Option<Vec<Suspect>> {
        if !self
            .looks
            .last()
            .is_none_or(|last| judged.goes_on_from(last))
        {
            self.looks.clear();
        }
        let confirmed = self.looks.iter().find_map(|earlier| {
            if since(earlier.look, judged.look) < self.apart(earlier.look, judged.look) {
                return None;
            }
            let both = judged.suspects.iter().filter(|s| {
                earlier
                    .suspects
                    .iter()
                    .any(|e| e.rule == s.rule && e.field == s.field)
            });
            let both: Vec<_> = both.cloned().collect();
            (!both.is_empty()).then_some(both)
        });
        self.looks.push(judged);
        confirmed
    }

    /// How long after the last look the next one can confirm.
    fn wait(&self, looks: &[Look]) -> Duration {
        let Some(last) = looks.last() else {
            return Duration::ZERO;
        };
        let (Some(first), Some(newest)) = (self.looks.first(), self.looks.last()) else {
            return self.timing.settle;
        };
        if newest.index + 1 != looks.len() {
            return self.timing.settle;
        }
        let apart = self.apart(first.look, newest.look);
        let elapsed = since(first.look, last);
        // Far enough apart and still not confirmed: they object to different things, so begin anew.
        if elapsed >= apart && self.looks.len() > 1 {
            apart
        } else {
            apart.saturating_sub(elapsed)
        }
    }

    /// `settle` where the row was at rest at both looks, else the whole delay of the cache.
    fn apart(&self, earlier: &Look, later: &Look) -> Duration {
        let is_at_rest = |look: &Look| {
            let row = look.row.as_ref().map(|row| row.as_ref());
            let Some(changed_at) = row.and_then(|row| changed_at(self.judge.mapping(), row)) else {
                return false;
            };
            let rest = self.timing.commit_margin + self.timing.cache_delay;
            look.source_time.minus(rest) > changed_at
        };
        if is_at_rest(earlier) && is_at_rest(later) {
            self.timing.settle
        } else {
            let blur = later
                .row
                .as_ref()
                .map(|row| blur(self.judge.mapping(), row.as_ref()));
            self.timing.cache_delay.max(self.timing.settle) + blur.unwrap_or_default()
        }
    }
}

fn give_up(judge: &Judge, looks: &[Look], pinned_source: &SourceIdentity) -> Decision {
    let is_from_elsewhere = looks.iter().any(|look| look.source != *pinned_source);
    let always_moved = looks.windows(2).all(|pair| {
        pair[0].after.cached != pair[1].before.cached || !pair[0].counts() || !pair[1].counts()
    });
    let objects = |look: &Look| {
        let row = look.row.as_ref().map(|r| r.as_ref());
        !judge.suspects(row, &look.before).is_empty()
            && !judge.suspects(row, &look.after).is_empty()
    };
    let verdict = if always_moved && !is_from_elsewhere && looks.iter().all(objects) {
        Verdict::Hot
    } else {
        Verdict::Unknown
    };
    // The last look from the right server shows best what was wrong.
    let look = looks
        .iter()
        .rposition(|look| look.source == *pinned_source && look.counts());
    let look = look.unwrap_or(looks.len().saturating_sub(1));
    let suspects = looks
        .get(look)
        .map(|look| judge.suspects(look.row.as_ref().map(|r| r.as_ref()), &look.after));
    Decision::Settled {
        verdict,
        suspects: suspects.unwrap_or_default(),
        look,
    }
}

fn since(earlier: &Look, later: &Look) -> Duration {
    Duration::from_micros(u64::try_from(later.at.0.saturating_sub(earlier.at.0)).unwrap_or(0))
}

/// How long two changes of a row can share one `changed_at`: a row that changes twice within it and comes
/// back to its old values looks as if it had rested, so the second change may be younger by this much.
fn blur(mapping: &Mapping, row: RowRef<'_>) -> Duration {
    let Some(Window::ChangedAt(time)) = &mapping.check.window else {
        return Duration::ZERO;
    };
    let text = mapping.changed_at_cell.and_then(|cell| row.cell(cell));
    let Some(text) = text else {
        return Duration::ZERO;
    };
    let digits = text
        .iter()
        .rposition(|&b| b == b'.')
        .map_or(0, |dot| text.len() - dot - 1);
    match time.form {
        TimeForm::EpochMillis => Duration::from_millis(1),
        TimeForm::EpochMicros => Duration::ZERO,
        TimeForm::Native | TimeForm::Zoned(_) | TimeForm::EpochSeconds => match digits {
            0 => Duration::from_secs(1),
            1..=2 => Duration::from_millis(100),
            3..=5 => Duration::from_millis(1),
            _ => Duration::ZERO,
        },
    }
}

/// When the row was last changed or deleted, by its own columns; `None` where nothing tells.
pub fn changed_at(mapping: &Mapping, row: RowRef<'_>) -> Option<Micros> {
    let changed = match &mapping.check.window {
        Some(Window::ChangedAt(time)) => {
            instant_of(mapping, row, mapping.changed_at_cell?, time.form)?
        }
        _ => return None,
    };
    let deleted = match &mapping.check.deletes {
        Deletes::Tombstone(Tombstone::DeletedAt(time)) => mapping
            .deleted_at_cell
            .and_then(|cell| instant_of(mapping, row, cell, time.form)),
        _ => None,
    };
    Some(Micros(
        deleted.map_or(changed, |deleted| deleted.max(changed)),
    ))
}

/// The later reading of a time cell.
fn instant_of(mapping: &Mapping, row: RowRef<'_>, cell: usize, form: TimeForm) -> Option<i64> {
    let text = row.cell(cell)?;
    let epoch = |unit: i64| {
        let whole: i64 = Number::parse(text)?
            .to_big()?
            .with_scale(0)
            .to_plain_string()
            .parse()
            .ok()?;
        whole.checked_add(1)?.checked_mul(unit)
    };
    let zone = match form {
        TimeForm::EpochSeconds => return epoch(1_000_000),
        TimeForm::EpochMillis => return epoch(1_000),
        TimeForm::EpochMicros => return epoch(1),
        TimeForm::Zoned(zone) if mapping.columns.get(cell)?.kind != ColumnType::Timestamp => {
            Some(zone)
        }
        TimeForm::Zoned(_) | TimeForm::Native => None,
    };
    match instant::parse(text, zone)? {
        Moment::At(readings) => Some(readings.later),
        Moment::ZeroDate => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::check::{CacheCheck, Locator, TimeColumn, ValueKind, VersionSpec};
    use crate::model::observation::CachedState;
    use crate::model::rows::Row;
    use crate::model::time::Micros;
    use crate::rules::testing::*;

    const TIMING: ConfirmTiming = ConfirmTiming {
        settle: Duration::from_secs(2),
        cache_delay: Duration::from_secs(5),
        commit_margin: Duration::from_secs(60),
    };
    /// 2026-11-21 14:00:00, when the test rows were last changed.
    const CHANGED: i64 = 1_795_269_600;

    fn primary() -> SourceIdentity {
        SourceIdentity {
            name: "primary".into(),
            read_only: false,
        }
    }

    fn window(spec: CacheCheck) -> CacheCheck {
        let time = TimeColumn {
            column: named("changed_at"),
            form: TimeForm::Native,
        };
        CacheCheck {
            window: Some(Window::ChangedAt(time)),
            ..spec
        }
    }

    fn plain() -> Judge {
        judge(
            window(check(ValueKind::Integer, vec![field(Locator::Whole, "n")])),
            &[INTEGER],
        )
    }

    fn versioned() -> Judge {
        let mut spec = window(check(ValueKind::Json, vec![field(pointer("/n"), "n")]));
        spec.version = Some(VersionSpec {
            cache: pointer("/v"),
            column: named("version"),
        });
        judge(spec, &[INTEGER])
    }

    const INTEGER: ColumnType = ColumnType::Integer { unsigned: false };

    /// A look `seconds` after the first, which is ten minutes after the row's last change.
    fn look(seconds: i64, state: CachedState, row: Row) -> Look {
        let at = Micros((CHANGED + 600 + seconds) * 1_000_000);
        Look {
            before: state.clone(),
            after: state,
            row: Some(row),
            source: primary(),
            source_time: at,
            at,
        }
    }

    fn verdict(judge: &Judge, looks: &[Look]) -> Option<(Verdict, usize)> {
        match decide(judge, looks, &primary(), TIMING) {
            Decision::Settled { verdict, look, .. } => Some((verdict, look)),
            Decision::LookAgain { .. } => None,
        }
    }

    fn wait(judge: &Judge, looks: &[Look]) -> Option<u64> {
        match decide(judge, looks, &primary(), TIMING) {
            Decision::LookAgain { after } => Some(after.as_secs()),
            Decision::Settled { .. } => None,
        }
    }

    #[test]
    fn two_equal_looks_far_enough_apart_confirm() {
        let (judge, five) = (plain(), || row("1", &[Some("5")]));
        assert_eq!(wait(&judge, &[]), Some(0));
        assert_eq!(wait(&judge, &[look(0, value("4"), five())]), Some(2));
        assert_eq!(
            wait(
                &judge,
                &[look(0, value("4"), five()), look(1, value("4"), five())]
            ),
            Some(1)
        );
        let looks = [look(0, value("4"), five()), look(2, value("4"), five())];
        assert_eq!(verdict(&judge, &looks), Some((Verdict::Confirmed, 1)));
    }

    #[test]
    fn a_row_that_moved_lately_takes_the_whole_delay() {
        let judge = plain();
        let fresh = |seconds| Look {
            source_time: Micros((CHANGED + 60 + seconds) * 1_000_000),
            ..look(seconds, value("4"), row("1", &[Some("5")]))
        };
        // The test rows are stamped to the second: two changes may share one stamp, so one second more.
        assert_eq!(wait(&judge, &[fresh(0)]), Some(6));
        assert_eq!(verdict(&judge, &[fresh(0), fresh(5)]), None);
        assert_eq!(
            verdict(&judge, &[fresh(0), fresh(6)]),
            Some((Verdict::Confirmed, 1))
        );
    }

    #[test]
    fn without_a_row_or_its_time_it_takes_the_whole_delay() {
        let gone = |seconds| Look {
            row: None,
            ..look(seconds, value("4"), row("1", &[None]))
        };
        assert_eq!(wait(&plain(), &[gone(0)]), Some(5));
        assert_eq!(
            verdict(&plain(), &[gone(0), gone(5)]),
            Some((Verdict::Confirmed, 1))
        );
        let untimed = judge(
            check(ValueKind::Integer, vec![field(Locator::Whole, "n")]),
            &[INTEGER],
        );
        assert_eq!(
            wait(&untimed, &[look(0, value("4"), row("1", &[Some("5")]))]),
            Some(5)
        );
    }

    #[test]
    fn one_correct_look_is_enough() {
        let looks = [
            look(0, value("4"), row("1", &[Some("5")])),
            look(1, value("5"), row("1", &[Some("5")])),
        ];
        assert_eq!(verdict(&plain(), &looks), Some((Verdict::Transient, 1)));
    }

    #[test]
    fn an_unversioned_value_that_flips_is_not_confirmed() {
        let judge = plain();
        // The row went 5 → 6 → 7 while the cache held 4: it may have been right in between.
        let looks: Vec<_> = (0..5)
            .map(|i| {
                look(
                    i * 6,
                    value("4"),
                    row_with(
                        "1",
                        "2026-11-21 14:00:00",
                        &[Some(&(5 + i).to_string())],
                        ["0", "1"],
                    ),
                )
            })
            .collect();
        assert_eq!(verdict(&judge, &looks[..2]), None);
        assert_eq!(wait(&judge, &looks[..2]), Some(2));
        assert_eq!(verdict(&judge, &looks), Some((Verdict::Unknown, 4)));
        // 4 → 3 → 4 in the cache: equal bytes, with others seen in between.
        let flips = [("4", 0), ("3", 3), ("4", 6)]
            .map(|(v, at)| look(at, value(v), row("1", &[Some("5")])));
        assert_eq!(verdict(&judge, &flips), None);
        let mut torn = [0, 3, 6].map(|at| look(at, value("4"), row("1", &[Some("5")])));
        torn[1].after = value("3");
        assert_eq!(verdict(&judge, &torn[..2]), None);
        assert_eq!(verdict(&judge, &torn), None);
    }

    #[test]
    fn a_version_needs_no_quiet_source() {
        let judge = versioned();
        let stale = || value(r#"{"v":1,"n":4}"#);
        let looks = [
            look(0, stale(), row("2", &[Some("5")])),
            look(2, stale(), row("3", &[Some("6")])),
        ];
        assert_eq!(verdict(&judge, &looks), Some((Verdict::Confirmed, 1)));
        // What cannot be read carries no version.
        let looks = [
            look(0, value("{"), row("2", &[Some("5")])),
            look(2, value("{"), row("3", &[Some("6")])),
        ];
        assert_eq!(verdict(&judge, &looks), None);
    }

    #[test]
    fn what_keeps_changing_is_hot() {
        let looks: Vec<_> = (0..5)
            .map(|i| look(i * 6, value(&i.to_string()), row("1", &[Some("9")])))
            .collect();
        assert_eq!(verdict(&plain(), &looks[..4]), None);
        assert_eq!(verdict(&plain(), &looks), Some((Verdict::Hot, 4)));
    }

    #[test]
    fn another_server_proves_nothing() {
        let from = |name: &str, read_only, seconds| Look {
            source: SourceIdentity {
                name: name.into(),
                read_only,
            },
            ..look(seconds, value("4"), row("1", &[Some("5")]))
        };
        for elsewhere in [("other", false), ("primary", true)] {
            let looks: Vec<_> = (0..5)
                .map(|i| from(elsewhere.0, elsewhere.1, i * 6))
                .collect();
            assert_eq!(verdict(&plain(), &looks[..4]), None);
            assert_eq!(verdict(&plain(), &looks), Some((Verdict::Unknown, 4)));
        }
        let healed = Look {
            before: value("5"),
            after: value("5"),
            ..from("other", false, 0)
        };
        assert_eq!(
            verdict(&plain(), &[healed]),
            None,
            "a correct answer from elsewhere is no proof either"
        );
        let looks = [
            from("primary", false, 0),
            from("other", false, 3),
            from("primary", false, 6),
        ];
        assert_eq!(verdict(&plain(), &looks), Some((Verdict::Confirmed, 2)));
    }

    #[test]
    fn only_what_both_looks_object_to_is_confirmed() {
        let spec = window(check(
            ValueKind::Json,
            vec![field(pointer("/a"), "a"), field(pointer("/b"), "b")],
        ));
        let judge = judge(
            CacheCheck {
                version: Some(VersionSpec {
                    cache: pointer("/v"),
                    column: named("version"),
                }),
                ..spec
            },
            &[INTEGER; 2],
        );
        let cached = || value(r#"{"v":1,"a":1,"b":1}"#);
        let looks = [
            look(0, cached(), row("1", &[Some("2"), Some("2")])),
            look(2, cached(), row("1", &[Some("1"), Some("2")])),
        ];
        let Decision::Settled {
            verdict, suspects, ..
        } = decide(&judge, &looks, &primary(), TIMING)
        else {
            panic!("settles");
        };
        assert_eq!(
            (verdict, ids(&suspects)),
            (Verdict::Confirmed, vec![("value-mismatch", Some(1))])
        );
    }

    #[test]
    fn a_delta_needs_a_constant_gap_on_a_quiet_source() {
        let mut spec = window(check(ValueKind::Integer, vec![field(Locator::Whole, "n")]));
        spec.writes = Writes::Delta;
        let judge = judge(spec, &[INTEGER]);
        let quiet = [
            look(0, value("4"), row("1", &[Some("5")])),
            look(2, value("4"), row("1", &[Some("5")])),
        ];
        assert_eq!(verdict(&judge, &quiet), Some((Verdict::Confirmed, 1)));
        let moving = [
            look(0, value("4"), row("1", &[Some("5")])),
            look(2, value("5"), row("1", &[Some("6")])),
        ];
        assert_eq!(verdict(&judge, &moving), None);
    }

    #[test]
    fn a_fingerprint_tells_null_from_empty_and_cells_apart() {
        let judge = judge(
            check(
                ValueKind::Json,
                vec![field(pointer("/a"), "a"), field(pointer("/b"), "b")],
            ),
            &[ColumnType::Text; 2],
        );
        let prints = [
            [Some("ab"), Some("")],
            [Some("a"), Some("b")],
            [Some("ab"), None],
            [None, Some("ab")],
        ]
        .map(|cells| fingerprint(judge.mapping(), row("1", &cells).as_ref()));
        for (i, left) in prints.iter().enumerate() {
            assert!(prints[i + 1..].iter().all(|right| left != right));
        }
    }
}
