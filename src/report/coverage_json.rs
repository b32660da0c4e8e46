//! Counts of a check as JSON has them.

use serde::{Deserialize, Serialize, Serializer};

use crate::model::outcome::Coverage;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct CoverageTwin {
    observed: u64,
    matched: u64,
    absent: u64,
    suspect: u64,
    confirmed: u64,
    transient: u64,
    hot: u64,
    unknown: u64,
    ahead_legal: u64,
    keyless: u64,
    foreign: u64,
    skipped: u64,
    other_shards: u64,
    applied: u64,
    refused: u64,
    lost_race: u64,
}

/// Every field is named on both sides, so that a new one cannot be forgotten here.
macro_rules! twins {
    ($($field:ident),*) => {
        impl From<Coverage> for CoverageTwin {
            fn from(coverage: Coverage) -> Self {
                let Coverage { $($field),* } = coverage;
                Self { $($field),* }
            }
        }

        impl From<CoverageTwin> for Coverage {
            fn from(twin: CoverageTwin) -> Self {
                let CoverageTwin { $($field),* } = twin;
                Self { $($field),* }
            }
        }
    };
}

twins!(
    observed,
    matched,
    absent,
    suspect,
    confirmed,
    transient,
    hot,
    unknown,
    ahead_legal,
    keyless,
    foreign,
    skipped,
    other_shards,
    applied,
    refused,
    lost_race
);

pub(super) fn as_coverage<S: Serializer>(
    coverage: &Coverage,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    CoverageTwin::from(*coverage).serialize(serializer)
}
