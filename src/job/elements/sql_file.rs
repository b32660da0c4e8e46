//! A statement, written in the job file or in a file of its own.

use std::path::{Component, Path, PathBuf};

use super::sql_tokens::SqlProblem;
use crate::job::fault::Fault;
use crate::job::reader::Text;

/// A statement as it was found, not yet checked.
#[derive(Debug, Clone)]
pub(in crate::job) struct Statement {
    pub(in crate::job) sql: String,
    /// The setting itself: the statement, or the file's name.
    pub(in crate::job) setting: Text,
    /// Where the file was found.
    pub(in crate::job) path: Option<PathBuf>,
}

/// A value that ends in `.sql` is a file, looked for beside the job file and then beside its folder:
/// job files live in `jobs/`, statements in `sql/`.
pub(in crate::job) fn read(setting: &Text, folder: &Path) -> Result<Statement, Fault> {
    let name = setting.value.trim();
    if !Path::new(name)
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("sql"))
    {
        return Ok(Statement {
            sql: setting.value.clone(),
            setting: setting.clone(),
            path: None,
        });
    }
    let beside = folder.join(name);
    let above = parent(folder).join(name);
    let first_error = match std::fs::read_to_string(&beside) {
        Ok(sql) => {
            return Ok(Statement {
                sql,
                setting: setting.clone(),
                path: Some(beside),
            });
        }
        Err(error) => error,
    };
    if beside == above {
        return Err(setting
            .fault("the SQL file cannot be read")
            .hint(format!("{}: {first_error}", beside.display())));
    }
    match std::fs::read_to_string(&above) {
        Ok(sql) => Ok(Statement {
            sql,
            setting: setting.clone(),
            path: Some(above),
        }),
        Err(second_error) => Err(setting.fault("the SQL file cannot be read").hint(format!(
            "tried {} ({first_error}) and {} ({second_error})",
            beside.display(),
            above.display()
        ))),
    }
}

impl Statement {
    /// The problem as a fault of the setting, with the file and the line it is at.
    pub(in crate::job) fn fault(&self, problem: &SqlProblem) -> Fault {
        let line = self.sql[..problem.at].matches('\n').count() + 1;
        let message = match &self.path {
            Some(path) => format!("{}, line {line}: {}", path.display(), problem.message),
            None if self.sql.contains('\n') => {
                format!("line {line} of the statement: {}", problem.message)
            }
            None => problem.message.clone(),
        };
        self.setting.fault(message).hint(problem.hint)
    }
}

fn parent(folder: &Path) -> PathBuf {
    match folder.components().next_back() {
        Some(Component::Normal(_)) => folder.parent().unwrap_or(Path::new("")).to_owned(),
        _ => folder.join(".."),
    }
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
    fn beside_the_job_file_before_its_parent_folder() {
        let root = tempfile::tempdir().unwrap();
        let jobs = root.path().join("jobs");
        std::fs::create_dir_all(root.path().join("sql")).unwrap();
        std::fs::create_dir_all(jobs.join("sql")).unwrap();
        std::fs::write(root.path().join("sql/a.sql"), "SELECT 'above'").unwrap();
        assert_eq!(
            read(&text("sql/a.sql"), &jobs).unwrap().sql,
            "SELECT 'above'"
        );
        std::fs::write(jobs.join("sql/a.sql"), "SELECT 'beside'").unwrap();
        assert_eq!(
            read(&text("sql/a.sql"), &jobs).unwrap().sql,
            "SELECT 'beside'"
        );
        let hint = read(&text("sql/b.sql"), &jobs).unwrap_err().hint.unwrap();
        assert!(
            hint.contains("jobs/sql/b.sql") && hint.matches("b.sql").count() == 2,
            "{hint}"
        );
        assert_eq!(read(&text("SELECT 1"), &jobs).unwrap().path, None);
    }

    #[test]
    fn the_parent_of_here_is_above() {
        assert_eq!(parent(Path::new("")), Path::new(".."));
        assert_eq!(parent(Path::new("jobs")), Path::new(""));
        assert_eq!(parent(Path::new(".")), Path::new("./.."));
    }
}
