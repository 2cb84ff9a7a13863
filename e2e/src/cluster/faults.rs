//! What a story can break, by `e2e/cluster/fault`. All of it is mended when the stage goes, and
//! before one begins.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::program;
use super::stage::Stage;
use crate::story::Instance;

/// How long a fault may take; the longest waits for an API server or a container runtime.
const LIMIT: Duration = Duration::from_mins(3);

impl Stage {
    /// Kills a container's process with SIGKILL.
    pub fn kill(&self, pod: &str) -> Result<()> {
        self.fault(&["kill", &self.path(pod)])
    }

    /// Kills the process of a container that is not the usual one.
    pub fn kill_container(&self, pod: &str, container: &str) -> Result<()> {
        self.fault(&["kill", &self.path(pod), container])
    }

    /// Stops a container's process in its tracks.
    pub fn hang(&self, pod: &str) -> Result<()> {
        self.fault(&["stop", &self.path(pod)])
    }

    /// Lets it go on.
    pub fn resume(&self, pod: &str) -> Result<()> {
        self.fault(&["cont", &self.path(pod)])
    }

    /// Stops the process of a container that is not the usual one.
    pub fn hang_container(&self, pod: &str, container: &str) -> Result<()> {
        self.fault(&["stop", &self.path(pod), container])
    }

    /// Lets it go on.
    pub fn resume_container(&self, pod: &str, container: &str) -> Result<()> {
        self.fault(&["cont", &self.path(pod), container])
    }

    /// Gives the id of a container's process on this machine, to be signalled at a chosen moment.
    pub fn process(&self, pod: &str) -> Result<i32> {
        let printed = self.run_fault(&["pid", &self.path(pod)])?;
        let text = printed.trim();
        text.parse()
            .with_context(|| format!("`{text}` is no process id"))
    }

    /// Takes a node off the network; its processes go on.
    pub fn isolate_node(&self, node: &str) -> Result<()> {
        self.fault(&["node-down", node])
    }

    /// Puts it back.
    pub fn join_node(&self, node: &str) -> Result<()> {
        self.fault(&["node-up", node])
    }

    /// Cuts a node's power: its network and all of its processes are gone at once.
    pub fn kill_node(&self, node: &str) -> Result<()> {
        self.fault(&["node-kill", node])
    }

    /// Starts it again, with the disk it had.
    pub fn start_node(&self, node: &str) -> Result<()> {
        self.fault(&["node-start", node])
    }

    /// Stops a node's kubelet; its pods go on, the API's view of them freezes.
    pub fn stop_kubelet(&self, node: &str) -> Result<()> {
        self.fault(&["kubelet-stop", node])
    }

    /// Starts it again.
    pub fn start_kubelet(&self, node: &str) -> Result<()> {
        self.fault(&["kubelet-start", node])
    }

    /// Stops the API server.
    pub fn stop_apiserver(&self) -> Result<()> {
        self.fault(&["apiserver-stop"])
    }

    /// Starts it again and waits until it answers.
    pub fn start_apiserver(&self) -> Result<()> {
        self.fault(&["apiserver-start"])
    }

    /// Stops etcd in its tracks: the API server is there and answers nothing.
    pub fn pause_etcd(&self) -> Result<()> {
        self.fault(&["etcd-pause"])
    }

    /// Lets it go on.
    pub fn resume_etcd(&self) -> Result<()> {
        self.fault(&["etcd-resume"])
    }

    /// Drops packets between two pods, both ways.
    pub fn cut(&self, one: &str, other: &str) -> Result<()> {
        self.fault(&["cut", &self.path(one), &self.path(other)])
    }

    /// Drops packets from one pod to another; the other way they pass.
    pub fn cut_one_way(&self, from: &str, to: &str) -> Result<()> {
        self.fault(&["cut", &self.path(from), &self.path(to), "one-way"])
    }

    /// Drops packets between a pod and the API server, both ways.
    pub fn cut_from_api(&self, pod: &str) -> Result<()> {
        self.fault(&["cut", &self.path(pod), "control-plane"])
    }

    /// Lets packets between two pods pass again.
    pub fn heal(&self, one: &str, other: &str) -> Result<()> {
        self.fault(&["heal", &self.path(one), &self.path(other)])
    }

    /// Lets every packet to a pod take longer; a delay of zero ends it.
    pub fn delay(&self, pod: &str, delay: Duration) -> Result<()> {
        let milliseconds = delay.as_millis().to_string();
        self.fault(&["delay", &self.path(pod), &milliseconds])
    }

    /// Makes a pod's volume a file system of so many megabytes, with what was in it; its container
    /// starts again.
    pub fn shrink_volume(&self, pod: &str, megabytes: u32) -> Result<()> {
        self.fault(&["volume-small", &self.path(pod), &megabytes.to_string()])
    }

    /// Gives that file system another size while it is used.
    pub fn grow_volume(&self, pod: &str, megabytes: u32) -> Result<()> {
        self.fault(&["volume-grow", &self.path(pod), &megabytes.to_string()])
    }

    /// A door to an instance whose clients are on its own node, also when that is off the network.
    pub fn door(&self, pod: &str) -> Result<Instance> {
        let printed = self.run_fault(&["door", &self.path(pod)])?;
        let port = printed.trim().parse();
        Ok(Instance::at(
            port.with_context(|| format!("`{printed}` is no port"))?,
        ))
    }

    /// Mends everything that was broken.
    pub fn mend(&self) -> Result<()> {
        if self.cluster().is_built_in() {
            self.run_fault(&["heal-all"])?;
        }
        Ok(())
    }

    fn path(&self, pod: &str) -> String {
        format!("{}/{pod}", self.namespace())
    }

    /// Breaks or mends one thing, and prints what the program says of it.
    fn fault(&self, words: &[&str]) -> Result<()> {
        let printed = self.run_fault(words)?;
        self.says(printed.trim_end());
        Ok(())
    }

    fn run_fault(&self, words: &[&str]) -> Result<String> {
        ensure!(
            self.cluster().is_built_in(),
            "only the built-in cluster can be broken: unset KUBECONFIG"
        );
        program::run("fault", words, LIMIT)
    }
}
