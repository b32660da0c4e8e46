//! The program as a caller meets it before it touches any server: streams and exit codes.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::process::Output;

use assert_cmd::Command;

/// Runs `auditor` in an empty folder, which must stay empty, without a terminal.
#[track_caller]
fn auditor(args: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::cargo_bin("auditor")
        .unwrap()
        .args(args)
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        0,
        "a file was written"
    );
    output
}

#[track_caller]
fn is_refused(args: &[&str], part: &str) {
    let output = auditor(args);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
    assert!(
        said.starts_with("error: ") && said.contains(part),
        "{args:?}: {said}"
    );
    assert!(!said.contains('\u{1b}'), "colours off a terminal: {said:?}");
    assert_eq!(output.stdout, b"", "{args:?}: stdout is for data");
}

#[test]
fn a_wrong_request_is_2_and_says_what_to_do() {
    is_refused(&["scan", "job.toml", "--until", "auto"], "`auto` is no end");
    is_refused(
        &["scan", "job.toml", "--since", "noon"],
        "`noon` is no time",
    );
    is_refused(
        &["scan", "job.toml", "--wide"],
        "unexpected argument '--wide'",
    );
    is_refused(
        &["repair", "job.toml", "--full", "--yes", "--resume"],
        "--resume and --full",
    );
}

#[test]
fn a_write_nobody_agreed_to_is_refused() {
    is_refused(&["repair", "job.toml", "--full"], "say --yes, or --dry-run");
    is_refused(&["undo", "job.toml", "some-run"], "say --yes");
}

#[test]
fn help_is_data_and_lists_the_exit_codes() {
    let output = auditor(&["--help"]);
    let help = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        (output.status.code(), output.stderr.as_slice()),
        (Some(0), b"".as_slice())
    );
    for code in 0..=5 {
        assert!(
            help.contains(&format!("\n  {code}  ")),
            "exit code {code} is missing: {help}"
        );
    }
    let output = auditor(&["--version"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stdout.starts_with(b"auditor "));
}

#[test]
fn no_arguments_are_a_wrong_request() {
    let output = auditor(&[]);
    assert_eq!(
        (output.status.code(), output.stdout.as_slice()),
        (Some(2), b"".as_slice())
    );
    assert!(String::from_utf8(output.stderr).unwrap().contains("Usage:"));
}
