//! One request, one subcommand.

use std::io::Write;

use super::checkpoint::checkpoint;
use super::execute::{repair, scan};
use super::report::merge_report;
use super::request::{Console, Ending, Request};
use super::scheduled::scheduled;
use super::status::status;
use super::undo::undo;
use crate::job::json_schema;
use crate::rules::catalog;

/// Does what was asked. Everything it has to say goes to `console` and into the [`Ending`].
pub async fn execute(request: Request, mut console: Console) -> Ending {
    match request {
        Request::Scan(request) => scan(&request, &mut console).await,
        Request::Repair(request) => repair(&request, &mut console).await,
        Request::Run(request) => scheduled(&request, &mut console).await,
        Request::Undo(request) => undo(&request, &mut console).await,
        Request::Checkpoint(request) => checkpoint(&request, &mut console).await,
        Request::Status(request) => status(&request, &mut console).await,
        Request::Report(request) => merge_report(&request, &mut console),
        Request::Explain { rule } => explain(&rule, &mut console),
        Request::Schema => print(&mut console, &pretty_schema()),
        #[cfg(feature = "lab")]
        Request::Demo => super::demo::demo(&mut console).await,
    }
}

fn explain(rule: &str, console: &mut Console) -> Ending {
    match catalog::explain(rule) {
        Some(text) => print(console, text),
        None => {
            let known: Vec<&str> = catalog::rules().map(|r| r.id.0).collect();
            Ending::BadRequest(format!(
                "there is no rule `{rule}`; there are {}",
                known.join(", ")
            ))
        }
    }
}

fn pretty_schema() -> String {
    serde_json::to_string_pretty(&json_schema()).expect("a JSON value can be printed")
}

/// Prints; a reader that is gone is no error.
fn print(console: &mut Console, text: &str) -> Ending {
    let _ = writeln!(console.out, "{}", text.trim_end());
    Ending::Done
}
