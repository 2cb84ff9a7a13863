//! `kubectl tandem` as a person runs it: the program under the plugin's name, with the kubeconfig of the
//! cluster and the namespace of the story.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::stage::Stage;
use crate::story::binary;

/// How long a line is waited for before something more is done.
const LINE_WAIT: Duration = Duration::from_millis(500);

impl Stage {
    fn plugin(&self, words: &[&str]) -> Result<Command> {
        let mut command = Command::new(binary::path()?);
        command
            .arg0("kubectl-tandem")
            .args(words)
            .args(["--namespace", self.namespace()])
            .stdin(Stdio::null());
        if let Some(kubeconfig) = self.cluster().kubeconfig() {
            command.arg("--kubeconfig").arg(kubeconfig);
        }
        Ok(command)
    }

    /// Runs it to its end.
    pub fn kubectl_tandem(&self, words: &[&str]) -> Result<Output> {
        let output = self.plugin(words)?.output();
        output.context("failed to start the plugin")
    }

    /// Runs it and gives what it printed; an error when it failed.
    pub fn kubectl_tandem_says(&self, words: &[&str]) -> Result<String> {
        let output = self.kubectl_tandem(words)?;
        let error = String::from_utf8_lossy(&output.stderr);
        let line = words.join(" ");
        ensure!(output.status.success(), "`kubectl tandem {line}`: {error}");
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs it until it prints a line with `part`, and ends it; `meanwhile` is done again and again.
    pub fn kubectl_tandem_until(
        &self,
        words: &[&str],
        part: &str,
        limit: Duration,
        mut meanwhile: impl FnMut() -> Result<()>,
    ) -> Result<()> {
        let mut child = self.plugin(words)?.stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().context("the output is not piped")?;
        let (told, lines) = channel();
        let reading = std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if told.send(line).is_err() {
                    return;
                }
            }
        });
        let deadline = Instant::now() + limit;
        let mut last = String::new();
        let found = loop {
            match lines.recv_timeout(LINE_WAIT) {
                Ok(line) if line.contains(part) => break Ok(()),
                Ok(line) => last = line,
                Err(RecvTimeoutError::Disconnected) => break Err("before its end"),
                Err(RecvTimeoutError::Timeout) if Instant::now() >= deadline => {
                    break Err("in time");
                }
                Err(RecvTimeoutError::Timeout) => {
                    if let Err(error) = meanwhile() {
                        child.kill().ok();
                        child.wait()?;
                        return Err(error);
                    }
                }
            }
        };
        drop(lines);
        child.kill().ok();
        child.wait()?;
        reading.join().ok();
        match found {
            Ok(()) => Ok(()),
            Err(when) => bail!("no line with `{part}` {when}; the last was `{last}`"),
        }
    }
}
