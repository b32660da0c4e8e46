//! `${NAME}`, `${NAME:-default}`, `${file:PATH}` and `$$` inside a parsed string; a PATH may itself
//! hold the first two, as in `${file:${CREDENTIALS_DIRECTORY}/password}`.

use std::path::Path;

/// Where substitutes come from.
pub(super) struct Surroundings<'e> {
    /// The job file's folder: relative paths in it start there.
    pub(super) folder: &'e Path,
    pub(super) environment: &'e dyn Fn(&str) -> Option<String>,
}

/// Why a string could not be completed; never holds what was substituted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) message: String,
    pub(super) hint: String,
}

/// `text` with everything filled in. A `$` before anything but `{` or `$` stands for itself.
pub(super) fn substitute(text: &str, surroundings: &Surroundings<'_>) -> Result<String, Problem> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(inside) = after.strip_prefix('{') {
            let (inside, after) = split_at_its_end(inside)?;
            out.push_str(&match inside.strip_prefix("file:") {
                Some(path) => secret_file(&named_path(path, surroundings)?, surroundings)?,
                None => variable(inside, surroundings)?,
            });
            rest = after;
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// What stands before the `}` that closes a `${`, and what follows it. Only a file's path may hold braces of its
/// own, so that a default keeps ending at the first one.
fn split_at_its_end(inside: &str) -> Result<(&str, &str), Problem> {
    let mut from = 0;
    loop {
        let end = from
            + inside[from..].find('}').ok_or_else(|| Problem {
                message: "`${` is never closed".to_owned(),
                hint: "write `${NAME}`, or `$$` for a dollar".to_owned(),
            })?;
        let opened = inside[..end].matches("${").count();
        let closed = inside[..end].matches('}').count();
        if opened <= closed || !inside.starts_with("file:") {
            return Ok((&inside[..end], &inside[end + 1..]));
        }
        from = end + 1;
    }
}

/// A secret's path with its variables filled in; another file's text is no path.
fn named_path(path: &str, surroundings: &Surroundings<'_>) -> Result<String, Problem> {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, inside)) = rest.split_once("${") {
        let (name, after) = split_at_its_end(inside)?;
        out.push_str(before);
        out.push_str(&variable(name, surroundings)?);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

fn variable(inside: &str, surroundings: &Surroundings<'_>) -> Result<String, Problem> {
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty()
        || !name.chars().all(is_name)
        || name.starts_with(|c: char| c.is_ascii_digit())
    {
        return Err(Problem {
            message: format!("`${{{name}}}` does not name an environment variable"),
            hint: "write `${NAME}`, `${NAME:-default}`, `${file:PATH}`, or `$$` for a dollar"
                .to_owned(),
        });
    }
    match ((surroundings.environment)(name), default) {
        // As in a shell: the default also stands in for an empty variable.
        (Some(value), default) if !value.is_empty() || default.is_none() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (_, None) => Err(Problem {
            message: format!("the environment variable `{name}` is not set"),
            hint: format!("set it, or give a default: `${{{name}:-…}}`"),
        }),
    }
}

/// A mounted secret without the newline that editors and `echo` leave at its end.
fn secret_file(path: &str, surroundings: &Surroundings<'_>) -> Result<String, Problem> {
    let full = surroundings.folder.join(path);
    let unreadable = |why: String| Problem {
        message: format!("the file `{}` cannot be read: {why}", full.display()),
        hint: "`${file:PATH}` takes the text of a mounted secret".to_owned(),
    };
    let mut text = std::fs::read_to_string(&full).map_err(|e| unreadable(e.to_string()))?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn filled(text: &str) -> Result<String, Problem> {
        let environment = |name: &str| match name {
            "HOST" => Some("db1".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        substitute(
            text,
            &Surroundings {
                folder: Path::new("."),
                environment: &environment,
            },
        )
    }

    #[test]
    fn names_defaults_and_dollars() {
        assert_eq!(
            filled("a ${HOST}:${PORT:-3306} $$x $.y $").unwrap(),
            "a db1:3306 $x $.y $"
        );
        assert_eq!(filled("[${EMPTY}]").unwrap(), "[]");
        assert_eq!(filled("${EMPTY:-x}").unwrap(), "x");
        assert_eq!(filled("$${HOST}").unwrap(), "${HOST}");
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(
            filled("${NOPE}").unwrap_err().message,
            "the environment variable `NOPE` is not set"
        );
        assert!(
            filled("${HOST")
                .unwrap_err()
                .message
                .contains("never closed")
        );
        assert!(
            filled("${a-b}")
                .unwrap_err()
                .message
                .contains("does not name")
        );
        assert!(
            filled("${file:/nowhere/x}")
                .unwrap_err()
                .message
                .contains("/nowhere/x")
        );
    }

    #[test]
    fn a_mounted_secret_loses_its_last_newline_only() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("secret"), "pass word\n\n").unwrap();
        let environment = |_: &str| None;
        let surroundings = Surroundings {
            folder: folder.path(),
            environment: &environment,
        };
        assert_eq!(
            substitute("${file:secret}", &surroundings).unwrap(),
            "pass word\n"
        );
        let absolute = format!("${{file:{}}}", folder.path().join("secret").display());
        assert_eq!(substitute(&absolute, &surroundings).unwrap(), "pass word\n");
    }

    #[test]
    fn a_secret_may_lie_in_a_folder_that_the_environment_names() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("secret"), "pass").unwrap();
        let path = folder.path().display().to_string();
        let environment = |name: &str| (name == "SECRETS").then(|| path.clone());
        let surroundings = Surroundings {
            folder: Path::new("."),
            environment: &environment,
        };
        let filled = |text: &str| substitute(text, &surroundings);
        assert_eq!(filled("<${file:${SECRETS}/secret}>").unwrap(), "<pass>");
        let name = "${file:${SECRETS}/${NAME:-secret}}${SECRETS:-}";
        assert_eq!(filled(name).unwrap(), format!("pass{path}"));
        for (text, part) in [
            ("${file:${NOPE}/secret}", "variable `NOPE` is not set"),
            ("${file:${SECRETS}/secret", "never closed"),
            ("${file:${file:a}/secret}", "does not name"),
        ] {
            let message = filled(text).unwrap_err().message;
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}
