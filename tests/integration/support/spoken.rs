//! A run that is watched by what it says.

use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

use auditor::lab::wait;

use super::{Run, World};

const LIMIT: Duration = Duration::from_secs(60);

impl World {
    /// Starts the program; what it says goes into a file. `variables` come on top of the world's own.
    pub fn begin(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Child {
        let mut command = self.command(arguments);
        command.envs(variables.iter().copied());
        command.stdout(Stdio::piped());
        command.stderr(std::fs::File::create(self.said()).unwrap());
        command.spawn().unwrap()
    }

    /// Waits until it has said these words.
    pub async fn says(&self, words: &str) {
        wait::until(format!("it says {words:?}"), LIMIT, async || {
            let text = std::fs::read_to_string(self.said()).unwrap_or_default();
            text.contains(words)
        })
        .await
        .unwrap();
    }

    /// Waits for its end.
    pub async fn ended(&self, child: Child) -> Run {
        let output = tokio::task::spawn_blocking(move || child.wait_with_output());
        let mut output = output.await.unwrap().unwrap();
        output.stderr = std::fs::read(self.said()).unwrap();
        Run::of(output, self.folder.path())
    }

    fn said(&self) -> PathBuf {
        self.folder.path().join("stderr")
    }
}
