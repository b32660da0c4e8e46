//! Looks: Redis, the MySQL primary, Redis again.

use std::collections::HashMap;

use super::ScanError;
use super::keys::{Target, subject_of};
use super::pages::with_expiry;
use crate::model::mapping::Mapping;
use crate::model::observation::{Look, Subject};
use crate::model::rows::Row;
use crate::model::time::Micros;
use crate::store::mysql::{Mysql, Witnessed};
use crate::store::redis::Redis;

/// Targets of one look; more are cut into several, so that a look stays short.
const LOOK_TARGETS: usize = 500;

/// One look at every target, in order. Each group of 500 is read R1, M, R2 in one go.
pub async fn look(
    source: &Mysql,
    cache: &Redis,
    mapping: &Mapping,
    targets: &[&Target],
) -> Result<Vec<Look>, ScanError> {
    let mut looks = Vec::with_capacity(targets.len());
    for group in targets.chunks(LOOK_TARGETS) {
        looks.extend(look_once(source, cache, mapping, group).await?);
    }
    Ok(looks)
}

/// One look at few targets.
pub async fn look_once(
    source: &Mysql,
    cache: &Redis,
    mapping: &Mapping,
    targets: &[&Target],
) -> Result<Vec<Look>, ScanError> {
    let subjects: Vec<Subject> = targets.iter().map(|t| t.subject.clone()).collect();
    let before = cache.read(mapping, &subjects, with_expiry(mapping)).await?;
    let (led, found): (Vec<&Target>, Vec<&Target>) =
        targets.iter().partition(|t| t.sweep_key.is_some());
    let mut sources = Vec::new();
    let mut rows: HashMap<(Vec<u8>, Option<Vec<u8>>), Row> = HashMap::new();
    if !led.is_empty() {
        let keys: Vec<_> = led.iter().filter_map(|t| t.sweep_key.clone()).collect();
        let witnessed = source.rows_by_key(mapping, &keys).await?;
        collect(mapping, &witnessed, &mut rows);
        sources.push(witnessed);
    }
    if !found.is_empty() {
        let ids: Vec<_> = found
            .iter()
            .flat_map(|t| t.candidates.iter().cloned())
            .collect();
        let witnessed = source.rows_by_id(mapping, &ids).await?;
        collect(mapping, &witnessed, &mut rows);
        sources.push(witnessed);
    }
    let after = cache.read(mapping, &subjects, with_expiry(mapping)).await?;
    let at = Micros::now();
    let mut looks = Vec::with_capacity(targets.len());
    for (((target, subject), before), after) in targets.iter().zip(subjects).zip(before).zip(after)
    {
        let witnessed = match (target.sweep_key.is_some(), sources.as_slice()) {
            (true, [first, ..]) | (false, [.., first]) => first,
            (_, []) => unreachable!("a target is led or found"),
        };
        looks.push(Look {
            before,
            after,
            row: rows.get(&(subject.key, subject.member)).cloned(),
            source: witnessed.source.clone(),
            source_time: witnessed.source_time,
            at,
        });
    }
    Ok(looks)
}

/// Rows by the key and member they render to. A row that now renders to another key explains that one.
fn collect(
    mapping: &Mapping,
    witnessed: &Witnessed,
    rows: &mut HashMap<(Vec<u8>, Option<Vec<u8>>), Row>,
) {
    for row in witnessed.rows.iter() {
        if let Some(subject) = subject_of(mapping, row) {
            rows.insert((subject.key, subject.member), row.to_owned_row());
        }
    }
}
