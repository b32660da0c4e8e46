//! Whether what is about to be written may be.

use super::RunError;
use super::open::{Opened, named};
use super::request::{Consent, Console};
use crate::job::Job;

/// Asks whether `job` may be repaired on the masters it was connected to.
pub(super) fn ask(
    consent: Consent,
    job: &Job,
    opened: &Opened,
    console: &Console,
) -> Result<(), RunError> {
    let question = format!(
        "Repair job {} on the Redis {} (every value that is replaced is kept in undo.jsonl)?",
        job.name,
        named(&opened.nodes)
    );
    ask_for(consent, &question, console)
}

/// Lets a person decide, where the request did not.
pub(super) fn ask_for(consent: Consent, question: &str, console: &Console) -> Result<(), RunError> {
    match consent {
        Consent::Given => Ok(()),
        Consent::Ask if console.confirm.confirm(question) => Ok(()),
        Consent::Ask => Err(RunError::BadRequest(
            "nothing was written: you did not say yes".into(),
        )),
    }
}
