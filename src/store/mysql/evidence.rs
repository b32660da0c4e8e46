//! What the primary says of the identities of entries: their rows, and whose whole effect is there.

use std::collections::HashMap;

use futures_util::future::try_join3;

use super::equality::{can_be_identity, identity_literal};
use super::error::MysqlError;
use super::literal;
use super::placeholder;
use super::pool::{Mysql, Width};
use super::probe::at_setting;
use super::server::{WITNESS_WIDTH, witness_cells, witness_of};
use super::statement;
use super::witness::{IDS_PER_STATEMENT, select, select_where, take_apart};
use crate::model::check::Named;
use crate::model::column::Column;
use crate::model::identity::SourceIdentity;
use crate::model::rows::Rows;
use crate::model::stream::{Evidence, StreamMapping};
use crate::model::time::Micros;

/// Bytes of identities in one statement: as hexadecimal literals they must stay below any server's packet.
const BYTES_PER_STATEMENT: usize = 1 << 20;

/// Evidence with who answered and when.
#[derive(Debug, Clone)]
pub struct WitnessedEvidence {
    /// Where parts of the answer came from different servers, the one that differs from the first: no look
    /// counts by it.
    pub source: SourceIdentity,
    /// The server's clock when the first part of the read began.
    pub source_time: Micros,
    /// One for each identity, in the order asked.
    pub evidence: Vec<Evidence>,
}

/// What a statement named, and who answered it.
struct Names {
    source: SourceIdentity,
    values: Vec<Vec<u8>>,
}

impl Mysql {
    /// Rows, proof and rejection of `identities`, each read by an autocommit SELECT that brings the server's
    /// identity along, also where there is nothing. Equality is the database's: an identity has all rows
    /// that the column's type and collation take for it, and an identity that no row can have (letters for a
    /// number, bytes that are no text) has none.
    ///
    /// Meant for some 1000 identities; the same one may be given twice.
    pub async fn evidence(
        &self,
        mapping: &StreamMapping,
        identities: &[Vec<u8>],
    ) -> Result<WitnessedEvidence, MysqlError> {
        statement::check_key(&mapping.rows)?;
        check_identity(mapping)?;
        let mut whole: Option<WitnessedEvidence> = None;
        for part in parts(identities) {
            let found = self.evidence_of(mapping, part).await?;
            match &mut whole {
                None => whole = Some(found),
                Some(whole) => {
                    whole.evidence.extend(found.evidence);
                    if found.source != whole.source {
                        // Filled up, so that there is one for each; by a foreign server none counts.
                        whole.source = found.source;
                        whole
                            .evidence
                            .resize_with(identities.len(), Evidence::default);
                        break;
                    }
                }
            }
        }
        Ok(whole.expect("at least one part is read"))
    }

    /// Prepares every statement that evidence needs, so that a wrong `proof_sql` or `rejected_sql` is found
    /// before any output is opened. The error names the setting. The table's side is probed as any other
    /// check's, by [`Mysql::probe`].
    pub async fn probe_stream(&self, mapping: &StreamMapping) -> Result<(), MysqlError> {
        statement::check_key(&mapping.rows)?;
        check_identity(mapping)?;
        let column = identity_column(mapping);
        let sample = vec![literal::sample(column.kind).to_vec()];
        let by_identity = select(&mapping.rows, &[column], &[sample], self.is_mariadb());
        self.prepare(&by_identity).await?;
        let settings = [
            ("proof_sql", &mapping.check.proof_sql),
            ("rejected_sql", &mapping.check.rejected_sql),
        ];
        for (setting, sql) in settings {
            let Some(sql) = sql else { continue };
            let sample = identity_literal(column, literal::sample(column.kind));
            let probed = match naming(sql, &sample.unwrap_or_else(|| "NULL".to_owned()), self) {
                Ok(statement) => self.prepare(&statement).await.and_then(|c| is_one(&c)),
                Err(fault) => Err(fault),
            };
            probed.map_err(|fault| at_setting(setting, fault))?;
        }
        Ok(())
    }

    async fn evidence_of(
        &self,
        mapping: &StreamMapping,
        identities: &[Vec<u8>],
    ) -> Result<WitnessedEvidence, MysqlError> {
        let (distinct, places) = distinct(identities);
        let column = identity_column(mapping);
        let literals: Vec<String> = distinct
            .iter()
            .filter_map(|identity| identity_literal(column, identity))
            .collect();
        let check = &mapping.check;
        let (rows, proven, rejected) = try_join3(
            self.rows_of(mapping, &literals),
            self.named_by(check.proof_sql.as_ref(), "proof_sql", &literals),
            self.named_by(check.rejected_sql.as_ref(), "rejected_sql", &literals),
        )
        .await?;
        let (rows, source, source_time) = rows;
        let mut sources = vec![source.clone()];
        let cell = mapping.identity_cell();
        let values: Vec<&[u8]> = rows
            .iter()
            .map(|row| row.cell(cell).unwrap_or_default())
            .collect();
        let of_rows = self.equal(column, &distinct, &values).await?;
        sources.extend(of_rows.asked.clone());
        let mut evidence: Vec<Evidence> = of_rows
            .values
            .iter()
            .map(|found| Evidence {
                rows: found
                    .iter()
                    .map(|&at| rows.row(at).to_owned_row())
                    .collect(),
                is_proven: check.proof_sql.is_some().then_some(false),
                is_rejected: false,
            })
            .collect();
        for (named, is_proof) in [(proven, true), (rejected, false)] {
            let Some(named) = named else { continue };
            let values: Vec<&[u8]> = named.values.iter().map(Vec::as_slice).collect();
            let equal = self.equal(column, &distinct, &values).await?;
            sources.push(named.source);
            sources.extend(equal.asked);
            for (evidence, found) in evidence.iter_mut().zip(&equal.values) {
                match is_proof {
                    true => evidence.is_proven = Some(!found.is_empty()),
                    false => evidence.is_rejected = !found.is_empty(),
                }
            }
        }
        let differs = sources.into_iter().find(|other| *other != source);
        Ok(WitnessedEvidence {
            source: differs.unwrap_or(source),
            source_time,
            evidence: if distinct.len() == places.len() {
                // Each was asked once: they stand in the order asked, and none need be copied.
                evidence
            } else {
                places.into_iter().map(|at| evidence[at].clone()).collect()
            },
        })
    }

    /// All rows whose identity may be one of those that `literals` spell.
    async fn rows_of(
        &self,
        mapping: &StreamMapping,
        literals: &[String],
    ) -> Result<(Rows, SourceIdentity, Micros), MysqlError> {
        let wanted = statement::one_of_literals(identity_column(mapping), literals);
        let sql = select_where(&mapping.rows, &wanted, self.is_mariadb());
        let width = WITNESS_WIDTH + mapping.rows.width();
        let found = self.fetch(&sql, width).await?;
        let answer = take_apart(&mapping.rows, &found)?;
        Ok((answer.rows, answer.source, answer.source_time))
    }

    /// The identities that a person's SELECT names; `None` where the check has no such SELECT, or nothing
    /// can be asked of it.
    async fn named_by(
        &self,
        sql: Option<&Named>,
        setting: &str,
        literals: &[String],
    ) -> Result<Option<Names>, MysqlError> {
        let Some(sql) = sql.filter(|_| !literals.is_empty()) else {
            return Ok(None);
        };
        let statement =
            naming(sql, &literals.join(", "), self).map_err(|e| at_setting(setting, e))?;
        let rows = self
            .fetch(&statement, Width::AtLeast(WITNESS_WIDTH + 1))
            .await
            .map_err(|e| at_setting(setting, e))?;
        let Some(first) = rows.iter().next() else {
            return Err(MysqlError::Unreachable(
                "an answer came without the server's identity".into(),
            ));
        };
        let (source, _) = witness_of(first, 0)?;
        let values = rows
            .iter()
            .filter_map(|row| Some(row.cell(WITNESS_WIDTH)?.to_vec()))
            .collect();
        Ok(Some(Names { source, values }))
    }
}

/// The statement of a person's SELECT with the identities in it, beside who answers. The LIMIT keeps it a
/// query of its own, planned as the person wrote it.
fn naming(sql: &Named, literals: &str, mysql: &Mysql) -> Result<String, MysqlError> {
    let select = placeholder::replace(&sql.text, "ids", literals).ok_or_else(|| {
        MysqlError::Statement(
            "it has no `:ids`, so it would name every identity there is; write `WHERE id IN (:ids)`"
                .into(),
        )
    })?;
    let select = select.trim_end().trim_end_matches(';');
    Ok(format!(
        "SELECT auditor_w.*, auditor_p.* FROM (SELECT {}) AS auditor_w LEFT JOIN \
         (SELECT * FROM {} {}) AS auditor_p ON TRUE",
        witness_cells(mysql.is_mariadb()),
        statement::derived(select, "auditor_q"),
        statement::NO_LIMIT
    ))
}

/// The columns of a person's SELECT, beside who answers.
fn is_one(columns: &[(String, String)]) -> Result<(), MysqlError> {
    match columns.len() - WITNESS_WIDTH {
        1 => Ok(()),
        many => Err(MysqlError::Statement(format!(
            "it has {many} columns, and which of them holds the identities is not said; SELECT that one alone"
        ))),
    }
}

fn identity_column(mapping: &StreamMapping) -> &Column {
    &mapping.rows.columns[mapping.identity_cell()]
}

fn check_identity(mapping: &StreamMapping) -> Result<(), MysqlError> {
    let column = identity_column(mapping);
    if can_be_identity(column.kind) {
        return Ok(());
    }
    Err(MysqlError::Statement(format!(
        "column `{}` cannot be an identity: only numbers, text and binary columns tell entries apart",
        column.name
    )))
}

/// Each identity once, and where each of those asked is among them.
fn distinct(identities: &[Vec<u8>]) -> (Vec<&[u8]>, Vec<usize>) {
    let mut distinct: Vec<&[u8]> = Vec::new();
    let mut known: HashMap<&[u8], usize> = HashMap::new();
    let places = identities
        .iter()
        .map(|identity| {
            *known.entry(identity).or_insert_with(|| {
                distinct.push(identity);
                distinct.len() - 1
            })
        })
        .collect();
    (distinct, places)
}

/// Parts of bounded number and size; one empty part where there is nothing.
fn parts(identities: &[Vec<u8>]) -> Vec<&[Vec<u8>]> {
    let mut parts = Vec::new();
    let (mut first, mut bytes) = (0, 0);
    for (at, identity) in identities.iter().enumerate() {
        let is_full =
            at - first == IDS_PER_STATEMENT || bytes + identity.len() > BYTES_PER_STATEMENT;
        if is_full && at > first {
            parts.push(&identities[first..at]);
            (first, bytes) = (at, 0);
        }
        bytes += identity.len();
    }
    parts.push(&identities[first..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_bounded_in_number_and_bytes_and_cover_each_once() {
        assert_eq!(parts(&[]).len(), 1);
        let many: Vec<Vec<u8>> = (0..1201).map(|n: u32| n.to_be_bytes().to_vec()).collect();
        let lengths: Vec<usize> = parts(&many).iter().map(|p| p.len()).collect();
        assert_eq!(lengths, [500, 500, 201]);
        let large = vec![vec![b'a'; BYTES_PER_STATEMENT / 2]; 5];
        let lengths: Vec<usize> = parts(&large).iter().map(|p| p.len()).collect();
        assert_eq!(lengths, [2, 2, 1]);
        assert_eq!(parts(&[vec![0; BYTES_PER_STATEMENT + 1]]).len(), 1);
    }

    #[test]
    fn an_identity_asked_twice_is_read_once() {
        let asked = [b"a".to_vec(), b"b".to_vec(), b"a".to_vec()];
        let (distinct, places) = distinct(&asked);
        assert_eq!(distinct, [b"a", b"b"]);
        assert_eq!(places, [0, 1, 0]);
    }
}
