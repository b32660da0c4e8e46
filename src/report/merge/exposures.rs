//! One exposure, however many runs saw it.
//!
//! A scan and the repair after it write a row each about the same wrong value. Rows of the same customer, check, key,
//! id, field, served and true value are one exposure, unless one had ended when the other began: then
//! the value was right in between. With other values, and not right in between, it is the same wrong once more: the
//! last values seen are what it comes to.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use crate::model::time::Micros;

/// A row of `compensation.csv` as far as it decides what it belongs to.
#[derive(Debug, Clone)]
pub(super) struct Seen<'a> {
    /// The place of the run among those of the report.
    pub run: usize,
    /// Customer, check, key, id and field.
    pub place: [&'a str; 5],
    /// The served and the true one. Place and values make two rows the same exposure.
    pub values: [&'a str; 2],
    pub from: Option<Micros>,
    pub until: Option<Micros>,
    pub attribution: &'a str,
    pub evidence: &'a str,
}

/// What all rows of one exposure say together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Exposure {
    /// Number of the row that was met first, over all runs.
    pub first: u64,
    /// The run that row is of.
    pub run: usize,
    /// The earliest beginning any run knows.
    pub from: Option<Micros>,
    /// The earliest end any run knows; `None`: nobody saw it right.
    pub until: Option<Micros>,
    pub attributed: Attributed,
    /// Evidence of the rows after the first one.
    pub more_evidence: Option<Box<str>>,
    /// Another exposure of the same values, met before.
    previous: Option<u32>,
    /// A digest of its place and values.
    key: [u8; 16],
    /// Another exposure of the same place, met before.
    neighbour: Option<u32>,
    /// The same place was seen with other values later, and nobody saw it right in between: those say what it comes to.
    is_superseded: bool,
}

/// The strongest word any run has for it, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Attributed {
    Unknown,
    Outside,
    Window,
}

/// All exposures, in the order of their first rows.
#[derive(Debug, Default)]
pub(super) struct Exposures {
    all: Vec<Exposure>,
    /// The one met last, by a digest of what makes rows the same.
    latest: HashMap<[u8; 16], u32>,
    /// The one of each place met last, whatever the values.
    places: HashMap<[u8; 16], u32>,
    rows: u64,
}

impl Attributed {
    /// `None` for a word this program does not write.
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            "window" => Some(Self::Window),
            "outside" => Some(Self::Outside),
            "unknown" => Some(Self::Unknown),
            _ => None,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Window => "window",
            Self::Outside => "outside",
            Self::Unknown => "unknown",
        }
    }
}

impl Exposures {
    /// Takes the next row; `None` if its attribution is no word of ours.
    pub(super) fn see(&mut self, seen: &Seen<'_>) -> Option<()> {
        let attributed = Attributed::parse(seen.attribution)?;
        let row = self.rows;
        self.rows += 1;
        let key = digest(seen.place.iter().chain(&seen.values));
        let mut place = self.latest.get(&key).copied();
        let previous = place;
        while let Some(at) = place {
            let exposure = &mut self.all[at as usize];
            if exposure.overlaps(seen) {
                exposure.absorb(seen, attributed);
                self.supersede(at, seen);
                return Some(());
            }
            place = exposure.previous;
        }
        let at = u32::try_from(self.all.len()).expect("four thousand million rows are no report");
        self.all.push(Exposure {
            first: row,
            run: seen.run,
            from: seen.from,
            until: seen.until,
            attributed,
            more_evidence: None,
            previous,
            key,
            neighbour: self.places.get(&digest(&seen.place)).copied(),
            is_superseded: false,
        });
        self.latest.insert(key, at);
        self.places.insert(digest(&seen.place), at);
        self.supersede(at, seen);
        Some(())
    }

    /// Places with several exposures that count: right in between.
    pub(super) fn places_repeated(&self) -> u64 {
        let counted = |&last: &u32| {
            let of_place = self.of_place(last);
            of_place
                .filter(|&at| !self.all[at as usize].is_superseded)
                .count()
        };
        let places = self.places.values();
        places.filter(|last| counted(last) > 1).count() as u64
    }

    /// Those that count, in the order of their first rows.
    pub(super) fn into_vec(mut self) -> Vec<Exposure> {
        self.all.retain(|exposure| !exposure.is_superseded);
        self.all
    }

    /// Of exposures of one place that overlap the one seen last counts.
    fn supersede(&mut self, latest: u32, seen: &Seen<'_>) {
        let last = self.places.get(&digest(&seen.place)).copied();
        let others: Vec<u32> = last
            .into_iter()
            .flat_map(|last| self.of_place(last))
            .collect();
        let key = self.all[latest as usize].key;
        for other in others {
            let exposure = &mut self.all[other as usize];
            let is_other = exposure.key != key && exposure.overlaps(seen);
            exposure.is_superseded = exposure.is_superseded || is_other;
        }
        self.all[latest as usize].is_superseded = false;
    }

    /// The exposures of a place, from its last one back.
    fn of_place(&self, last: u32) -> impl Iterator<Item = u32> {
        std::iter::successors(Some(last), |&at| self.all[at as usize].neighbour)
    }
}

impl Exposure {
    /// False only if one is known to have ended before the other began.
    fn overlaps(&self, seen: &Seen<'_>) -> bool {
        let ended_before = |until: Option<Micros>, from: Option<Micros>| {
            until.zip(from).is_some_and(|(until, from)| until <= from)
        };
        !ended_before(self.until, seen.from) && !ended_before(seen.until, self.from)
    }

    fn absorb(&mut self, seen: &Seen<'_>, attributed: Attributed) {
        self.from = earliest(self.from, seen.from);
        self.until = earliest(self.until, seen.until);
        self.attributed = self.attributed.max(attributed);
        let text = match &self.more_evidence {
            Some(so_far) => format!("{so_far}; {}", seen.evidence),
            None => seen.evidence.to_owned(),
        };
        self.more_evidence = Some(text.into());
    }
}

fn earliest(one: Option<Micros>, other: Option<Micros>) -> Option<Micros> {
    one.into_iter().chain(other).min()
}

fn digest<'a>(cells: impl IntoIterator<Item = &'a &'a str>) -> [u8; 16] {
    let mut digest = Sha256::new();
    for cell in cells {
        digest.update((cell.len() as u64).to_be_bytes());
        digest.update(cell);
    }
    let whole: [u8; 32] = digest.finalize().into();
    whole[..16].try_into().expect("sixteen of thirty-two bytes")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn seen(from: i64, until: Option<i64>, evidence: &str) -> Seen<'_> {
        Seen {
            run: 0,
            place: ["7", "balance", "user:7", "7", ""],
            values: ["100", "150"],
            from: Some(Micros(from)),
            until: until.map(Micros),
            attribution: "window",
            evidence,
        }
    }

    fn all(rows: &[Seen<'_>]) -> Vec<Exposure> {
        let mut exposures = Exposures::default();
        rows.iter().for_each(|row| exposures.see(row).unwrap());
        exposures.into_vec()
    }

    #[test]
    fn a_scan_and_its_repair_are_one_and_the_earliest_end_counts() {
        let merged = all(&[
            seen(10, None, "a"),
            seen(10, Some(30), "b"),
            seen(5, Some(40), "c"),
        ]);
        assert_eq!(merged.len(), 1);
        assert_eq!(
            (merged[0].from, merged[0].until),
            (Some(Micros(5)), Some(Micros(30)))
        );
        assert_eq!(merged[0].more_evidence.as_deref(), Some("b; c"));
    }

    #[test]
    fn what_was_right_in_between_is_two() {
        let rows = [
            seen(10, Some(30), "a"),
            seen(30, None, "b"),
            seen(10, None, "c"),
            seen(35, Some(50), "d"),
        ];
        let merged = all(&rows);
        let ends: Vec<_> = merged.iter().map(|e| (e.first, e.until)).collect();
        assert_eq!(ends, [(0, Some(Micros(30))), (1, Some(Micros(50)))]);
        // The third row overlaps both; it is counted with one of them.
        let evidence: Vec<_> = merged
            .iter()
            .filter_map(|e| e.more_evidence.as_deref())
            .collect();
        assert_eq!(evidence, ["c; d"]);
    }

    #[test]
    fn an_earlier_exposure_is_found_behind_a_later_one() {
        let merged = all(&[
            seen(10, Some(30), "a"),
            seen(30, Some(50), "b"),
            seen(10, Some(25), "c"),
        ]);
        let ends: Vec<_> = merged.iter().map(|e| e.until).collect();
        assert_eq!(ends, [Some(Micros(25)), Some(Micros(50))]);
    }

    #[test]
    fn every_cell_that_differs_makes_another_exposure() {
        let two_of = |change: &dyn Fn(&mut Seen<'static>)| {
            let mut other = seen(10, None, "b");
            change(&mut other);
            let mut exposures = Exposures::default();
            exposures.see(&seen(10, None, "a")).unwrap();
            exposures.see(&other).unwrap();
            let repeated = exposures.places_repeated();
            (exposures.into_vec().len(), repeated)
        };
        for cell in 0..5 {
            assert_eq!(two_of(&|other| other.place[cell] = "x"), (2, 0));
        }
        for cell in 0..2 {
            let change = |other: &mut Seen<'static>| other.values[cell] = "x";
            assert_eq!(two_of(&change), (1, 0));
            let right_in_between = |other: &mut Seen<'static>| {
                change(other);
                (other.from, other.until) = (Some(Micros(5)), Some(Micros(10)));
            };
            assert_eq!(two_of(&right_in_between), (2, 1));
        }
        let shifted = two_of(&|other| {
            other.place[4] = "100";
            other.values[0] = "";
        });
        assert_eq!(shifted, (2, 0));
    }

    #[test]
    fn of_values_that_overlap_the_last_ones_count() {
        let other = Seen {
            values: ["100", "170"],
            ..seen(20, None, "b")
        };
        let merged = all(&[seen(10, None, "a"), other.clone()]);
        let firsts = |merged: &[Exposure]| merged.iter().map(|e| e.first).collect::<Vec<_>>();
        assert_eq!(firsts(&merged), [1]);
        // It went back to the first values: those are the last ones now.
        let merged = all(&[seen(10, None, "a"), other.clone(), seen(10, None, "c")]);
        assert_eq!(firsts(&merged), [0]);
        // The first had ended before the other began.
        let merged = all(&[seen(10, Some(20), "a"), other]);
        assert_eq!(firsts(&merged), [0, 1]);
    }

    #[test]
    fn the_window_of_any_run_is_a_window() {
        let with = |attribution| Seen {
            attribution,
            ..seen(10, None, "")
        };
        let merged = |words: &[&'static str]| {
            let rows: Vec<Seen<'_>> = words.iter().map(|word| with(word)).collect();
            all(&rows)[0].attributed.name()
        };
        assert_eq!(merged(&["unknown", "outside"]), "outside");
        assert_eq!(merged(&["outside", "window", "unknown"]), "window");
        assert_eq!(merged(&["unknown"]), "unknown");
        assert_eq!(Exposures::default().see(&with("mixed")), None);
    }

    #[test]
    fn without_times_it_is_the_same_one() {
        let timeless = Seen {
            from: None,
            ..seen(0, None, "a")
        };
        assert_eq!(all(&[timeless, seen(10, Some(20), "b")]).len(), 1);
    }
}
