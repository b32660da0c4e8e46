//! Every statement of a mapping, tried before anything is written.

use super::error::MysqlError;
use super::pool::Mysql;
use super::range::{KeyRange, Selection, SweepKey};
use super::{literal, locks, statement, witness};
use crate::model::check::{Deletes, Source, Tombstone, Window};
use crate::model::mapping::Mapping;
use crate::model::time::Micros;

/// Any instant does for preparing.
const SAMPLE_INSTANT: Micros = Micros(1_000_000_000_000_000);

impl Mysql {
    /// Prepares every statement the mapping will need without running it, so that a wrong `where`,
    /// tombstone condition, `changed_ids` or `lock_sql` is found before any output is opened. The error
    /// names the setting.
    pub async fn probe(&self, mapping: &Mapping) -> Result<(), MysqlError> {
        statement::check_key(mapping)?;
        for (setting, sql) in user_parts(mapping) {
            self.prepare(&sql)
                .await
                .map_err(|e| at_setting(setting, e))?;
        }
        let sample = sample_key(mapping);
        if let Some(window) = &mapping.check.window {
            let setting = match window {
                Window::ChangedAt(_) => "changed_at",
                Window::ChangedIds { .. } => "changed_ids",
            };
            self.probe_window(mapping, window, &sample)
                .await
                .map_err(|e| at_setting(setting, e))?;
        }
        if let Source::Sql {
            lock_sql: Some(lock_sql),
            ..
        } = &mapping.check.source
        {
            let keys = std::slice::from_ref(&sample);
            let locking = locks::locking_select(mapping, &lock_sql.text, keys, self.is_mariadb());
            let probed = match locking {
                Ok(sql) => self.prepare(&sql).await.map(drop),
                Err(e) => Err(e),
            };
            probed.map_err(|e| at_setting("lock_sql", e))?;
        }
        let columns = statement::key_columns(mapping);
        let by_key = witness::select(mapping, &columns, &[sample], self.is_mariadb());
        self.prepare(&by_key).await.map(drop)
    }

    async fn probe_window(
        &self,
        mapping: &Mapping,
        window: &Window,
        sample: &SweepKey,
    ) -> Result<(), MysqlError> {
        let range = KeyRange {
            after: Some(sample.clone()),
            upto: Some(sample.clone()),
        };
        let condition = match window {
            Window::ChangedAt(_) => {
                statement::selected(mapping, Selection::ChangedSince(SAMPLE_INSTANT))?
            }
            Window::ChangedIds { .. } => {
                let changed = self.changed_ids(mapping, SAMPLE_INSTANT).await?;
                let columns = statement::key_columns(mapping);
                self.prepare(&changed.page(&columns, &range, 1)?).await?;
                self.not_among_changed_ids(mapping, SAMPLE_INSTANT).await?
            }
        };
        let sql = format!(
            "SELECT {} FROM {} WHERE {} AND {condition} ORDER BY {} LIMIT 0",
            statement::cells(mapping).join(", "),
            statement::source(mapping),
            statement::in_range(mapping, &range)?,
            statement::key_expressions(mapping).join(", "),
        );
        self.prepare(&sql).await.map(drop)
    }
}

/// What a person wrote, each with the setting it stands in.
fn user_parts(mapping: &Mapping) -> Vec<(&'static str, String)> {
    let source = statement::source(mapping);
    let columns: Vec<String> = mapping
        .columns
        .iter()
        .map(|c| literal::identifier(&c.name))
        .collect();
    let setting = if statement::is_sql(mapping) {
        "sql"
    } else {
        "table"
    };
    let mut parts = vec![(
        setting,
        format!("SELECT {} FROM {source}", columns.join(", ")),
    )];
    if let Source::Table {
        explains: Some(explains),
        ..
    } = &mapping.check.source
    {
        parts.push((
            "where",
            format!("SELECT (\n{}\n) FROM {source}", explains.text),
        ));
    }
    if let Deletes::Tombstone(Tombstone::Condition(gone)) = &mapping.check.deletes {
        parts.push((
            "deleted",
            format!("SELECT (\n{}\n) FROM {source}", gone.text),
        ));
    }
    parts
}

fn sample_key(mapping: &Mapping) -> SweepKey {
    let columns = statement::key_columns(mapping);
    columns
        .iter()
        .map(|c| literal::sample(c.kind).to_vec())
        .collect()
}

pub(super) fn at_setting(setting: &str, error: MysqlError) -> MysqlError {
    match error {
        MysqlError::Statement(text) if !text.starts_with('`') => {
            MysqlError::Statement(format!("`{setting}`: {text}"))
        }
        other => other,
    }
}
