//! A server process under a watchdog.
//!
//! The watchdog is a small shell script whose standard input is a pipe that we hold. It signals the
//! server as told by lines on that pipe; when the pipe ends (we dropped it, or we died, however
//! that happened) it kills the server and removes its folder. It is the server's parent and reaps it
//! only at the very end, so the process number it signals can never belong to somebody else.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::lab::{LabError, wait};

const WATCHDOG: &str = r#"
folder=$1 log=$2
shift 2
"$@" </dev/null >>"$log" 2>&1 &
server=$!
echo "$server"
exec >/dev/null
keep=
while read -r order; do
    case $order in
        keep) keep=yes ;;
        *) kill -s "$order" "$server" ;;
    esac
done
kill -s KILL "$server"
wait "$server"
[ -n "$keep" ] || rm -rf "$folder"
"#;

/// Signals by the names that `kill -s` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    Terminate,
    Stop,
    Continue,
}

/// One running server. Dropping it kills the server and removes its folder.
pub(super) struct Process {
    watchdog: Child,
    server: u32,
}

impl Process {
    /// Starts `program`, its output appended to `log`. `folder` is what goes with it when we die.
    pub(super) fn spawn(
        program: &Path,
        arguments: &[OsString],
        folder: &Path,
        log: &Path,
    ) -> Result<Self, LabError> {
        let action = || format!("start {}", program.display());
        let mut watchdog = Command::new("/bin/sh")
            .args(["-c", WATCHDOG, "watchdog"])
            .args([folder, log, program])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // Ctrl-C at a terminal is for us: the servers must outlive it until we let go of them.
            .process_group(0)
            .spawn()
            .map_err(LabError::io(action()))?;
        let stdout = watchdog
            .stdout
            .take()
            .expect("stdout was asked to be a pipe");
        let mut line = String::new();
        BufReader::new(stdout)
            .read_line(&mut line)
            .map_err(LabError::io(action()))?;
        let server = line.trim().parse().map_err(|_| {
            LabError::Unfit(format!(
                "the watchdog of {} said {line:?}",
                program.display()
            ))
        })?;
        Ok(Self { watchdog, server })
    }

    pub(super) fn id(&self) -> u32 {
        self.server
    }

    pub(super) fn signal(&mut self, signal: Signal) -> Result<(), LabError> {
        self.order(match signal {
            Signal::Terminate => "TERM",
            Signal::Stop => "STOP",
            Signal::Continue => "CONT",
        })
    }

    /// Whether the server has not ended yet. A stopped one runs.
    pub(super) fn is_running(&self) -> bool {
        state_of(self.server).is_some_and(|state| state != 'Z' && state != 'X')
    }

    /// Whether SIGSTOP has taken effect.
    pub(super) fn is_stopped(&self) -> bool {
        state_of(self.server) == Some('T')
    }

    /// SIGKILL, waited for. The folder stays.
    pub(super) fn kill(mut self) -> Result<(), LabError> {
        self.order("keep")
    }

    /// SIGTERM, waited for; SIGKILL after `limit`, which is an error. The folder stays.
    pub(super) async fn stop(mut self, limit: Duration) -> Result<(), LabError> {
        self.order("keep")?;
        self.signal(Signal::Terminate)?;
        wait::until("the server has shut down", limit, async || {
            !self.is_running()
        })
        .await
    }

    fn order(&mut self, word: &str) -> Result<(), LabError> {
        let orders = self
            .watchdog
            .stdin
            .as_mut()
            .expect("the pipe is open until drop");
        writeln!(orders, "{word}").map_err(LabError::io(format!("tell the watchdog to {word}")))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        // Only the watchdog's own end is waited for: a SIGKILL and a removal, milliseconds.
        let _ = self.watchdog.wait();
    }
}

/// The state letter of `/proc/PID/stat`, which follows the parenthesised program name.
fn state_of(process: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}
